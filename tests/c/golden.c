#include "golden.h"

#include <math.h>

#include "qe_util.h"

static int split(char *line, char **out)
{
    int n = 0;

    line[strcspn(line, "\n")] = '\0';
    for (char *at = line; at != NULL; n++) {
        assert_in_range(n, 0, GOLDEN_COLUMNS - 1);
        out[n] = strsep(&at, ",");
    }
    return n;
}

void golden_open(golden *g, const char *name)
{
    char path[256];

    memset(g, 0, sizeof(*g));
    g->name = name;
    snprintf(path, sizeof(path), "tests/golden/%s", name);
    g->file = fopen(path, "r");
    if (g->file == NULL)
        fail_msg("%s: not found; C tests run in the root of the project", path);
    assert_non_null(fgets(g->head, sizeof(g->head), g->file));
    g->columns = split(g->head, g->names);
}

bool golden_next(golden *g)
{
    if (fgets(g->line, sizeof(g->line), g->file) == NULL) {
        fclose(g->file);
        assert_true(g->lines > 0);
        return false;
    }
    assert_non_null(strchr(g->line, '\n')); /* it fits */
    assert_int_equal(split(g->line, g->values), g->columns);
    g->lines++;
    return true;
}

const char *golden_text(const golden *g, const char *column)
{
    for (int i = 0; i < g->columns; i++)
        if (strcmp(g->names[i], column) == 0)
            return g->values[i];
    fail_msg("%s: no column %s", g->name, column);
    return "";
}

double golden_number(const golden *g, const char *column)
{
    const char *text = golden_text(g, column);
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0')
        fail_msg("%s: \"%s\" is no number", g->name, text);
    return value;
}

int64_t golden_count(const golden *g, const char *column)
{
    return (int64_t) golden_number(g, column);
}

size_t golden_results(const char *text, uint8_t *results, size_t most)
{
    size_t n = strlen(text);

    assert_true(n <= most);
    for (size_t i = 0; i < n; i++)
        results[i] = text[i] == 'P';
    return n;
}

size_t golden_list(const char *text, double *values, size_t most)
{
    size_t n = 0;

    while (*text != '\0') {
        char *end;

        assert_true(n < most);
        values[n++] = strtod(text, &end);
        assert_true(end > text);
        text = end + (*end == ' ');
    }
    return n;
}

void golden_near(double found, double wanted, double error, const char *what,
                 const char *file, int line)
{
    double bound = error * fmax(1, fabs(wanted));

    /* Written so that a NaN is far from everything. */
    if (!(fabs(found - wanted) <= bound) && found != wanted) {
        print_error("%s is %.17g, not %.17g\n", what, found, wanted);
        _fail(file, line);
    }
}

double golden_uniform(uint64_t *state)
{
    return (double) (qe__random(state) >> 11) * 0x1p-53;
}

int golden_times(int plain, int valgrind)
{
    return getenv("QE_TEST_VALGRIND") != NULL ? valgrind : plain;
}
