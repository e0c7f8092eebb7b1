#include "qe_command.h"

#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

static size_t count_words(char *const *words)
{
    size_t n = 0;

    while (words != NULL && words[n] != NULL) {
        n++;
    }
    return n;
}

static size_t count_bytes(char *const *words)
{
    size_t bytes = 0;

    for (; words != NULL && *words != NULL; words++) {
        bytes += strlen(*words) + 1;
    }
    return bytes;
}

static char *keep(const char *text, char **room)
{
    size_t n = strlen(text) + 1;
    char *kept = memcpy(*room, text, n);

    *room += n;
    return kept;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static bool is_sound(const qe_unit *unit)
{
    if (unit->argv == NULL) {
        return unit->env == NULL && unit->cwd == NULL && unit->warm == NULL &&
               unit->limits.memory_bytes == 0 && unit->limits.cpu_s == 0 &&
               unit->limits.files == 0 && unit->limits.cgroup == NULL;
    }
    if (unit->limits.files > 0 && unit->limits.files < 3) {
        return false;
    }
    if (unit->argv[0] == NULL || unit->argv[0][0] == '\0') {
        return false;
    }
    for (size_t i = 0; i < count_words(unit->env); i++) {
        if (strcspn(unit->env[i], "=") == 0) {
            return false;
        }
    }
    return true;
}

int qe__command_copy(qe__command **out, const qe_unit *unit)
{
    size_t args = count_words(unit->argv), more = count_words(unit->env);
    size_t bytes;
    qe__command *command;
    char *room;

    *out = NULL;
    if (!is_sound(unit)) {
        return QE_EINVAL;
    }
    if (unit->argv == NULL) {
        return 0;
    }
    bytes = sizeof(*command) + (args + more + 2) * sizeof(char *);
    command = malloc(bytes + count_bytes(unit->argv) + count_bytes(unit->env) +
                     size_of(unit->cwd) + size_of(unit->warm) +
                     size_of(unit->limits.cgroup));
    if (command == NULL) {
        return QE_ENOMEM;
    }
    room = (char *) command + bytes;
    command->next = NULL;
    command->argv = (char **) (command + 1);
    command->env = command->argv + args + 1;
    for (size_t i = 0; i < args; i++) {
        command->argv[i] = keep(unit->argv[i], &room);
    }
    for (size_t i = 0; i < more; i++) {
        command->env[i] = keep(unit->env[i], &room);
    }
    command->argv[args] = command->env[more] = NULL;
    command->cwd = unit->cwd != NULL ? keep(unit->cwd, &room) : NULL;
    command->warm = unit->warm != NULL ? keep(unit->warm, &room) : NULL;
    command->limits = unit->limits;
    if (unit->limits.cgroup != NULL) {
        command->limits.cgroup = keep(unit->limits.cgroup, &room);
    }
    *out = command;
    return 0;
}

/* Whether one of the words is about the same name. */
static bool is_named(char *const *words, const char *word)
{
    size_t n = strcspn(word, "=");

    for (; *words != NULL; words++) {
        if (strcspn(*words, "=") == n && strncmp(*words, word, n) == 0) {
            return true;
        }
    }
    return false;
}

char **qe__command_environ(const qe__command *command, char *const *own)
{
    char **all = malloc(qe__mul(
        count_words(own) + count_words(command->env) + 1, sizeof(char *)));
    size_t n = 0;

    if (all == NULL) {
        return NULL;
    }
    for (; own != NULL && *own != NULL; own++) {
        if (!is_named(command->env, *own)) {
            all[n++] = *own;
        }
    }
    for (char *const *word = command->env; *word != NULL; word++) {
        /* The last of a name holds. */
        if (strchr(*word, '=') != NULL && !is_named(word + 1, *word)) {
            all[n++] = *word;
        }
    }
    all[n] = NULL;
    return all;
}
