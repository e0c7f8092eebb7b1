/* Lists of words as C takes them: each ends with NULL. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

void core_free_words(char **words)
{
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        free(words[i]);
    }
    free(words);
}

/* The bytes of an object, or a string as the system encodes it, copied. */
static char *word_of(PyObject *item)
{
    PyObject *bytes = NULL;
    char *text, *word = NULL;

    if (item != NULL && PyUnicode_FSConverter(item, &bytes)) {
        text = PyBytes_AsString(bytes);
        word = text == NULL ? NULL : strdup(text);
        Py_DECREF(bytes);
    }
    if (word == NULL && !PyErr_Occurred()) {
        (void) PyErr_NoMemory();
    }
    return word;
}

char **core_words(PyObject *list)
{
    Py_ssize_t n = PySequence_Size(list);
    char **words = n < 0 ? NULL : calloc((size_t) n + 1, sizeof(*words));

    if (n >= 0 && words == NULL) {
        (void) PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; words != NULL && i < n; i++) {
        PyObject *item = PySequence_GetItem(list, i);

        words[i] = word_of(item);
        Py_XDECREF(item);
        if (words[i] == NULL) {
            core_free_words(words);
            return NULL;
        }
    }
    return words;
}

void core_free_lists(char ***lists)
{
    for (size_t i = 0; lists != NULL && lists[i] != NULL; i++) {
        core_free_words(lists[i]);
    }
    free(lists);
}

char ***core_lists(PyObject *list, uint32_t *count)
{
    Py_ssize_t n = PySequence_Size(list);
    char ***lists = n < 0 ? NULL : calloc((size_t) n + 1, sizeof(*lists));

    if (n >= 0 && lists == NULL) {
        (void) PyErr_NoMemory();
    }
    for (Py_ssize_t i = 0; lists != NULL && i < n; i++) {
        PyObject *item = PySequence_GetItem(list, i);

        lists[i] = item == NULL ? NULL : core_words(item);
        Py_XDECREF(item);
        if (lists[i] == NULL) {
            core_free_lists(lists);
            return NULL;
        }
    }
    *count = n > 0 ? (uint32_t) n : 0;
    return lists;
}
