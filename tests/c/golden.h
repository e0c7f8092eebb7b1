/* Reference values from tests/golden, and how they are compared. */
#ifndef QE_TEST_GOLDEN_H
#define QE_TEST_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN_COLUMNS 24

/* A file with a line of names, then lines of values. */
typedef struct golden {
    FILE *file;
    const char *name;
    char head[512], line[8192];
    char *names[GOLDEN_COLUMNS], *values[GOLDEN_COLUMNS];
    int columns, lines;
} golden;

/* Opens tests/golden/NAME; the test fails where there is none. */
void golden_open(golden *g, const char *name);
/* The next line; false, and closed, at the end. Fails where there was none. */
bool golden_next(golden *g);
/* A value of the line, by the name of its column; "" where it is empty. */
const char *golden_text(const golden *g, const char *column);
double golden_number(const golden *g, const char *column);
int64_t golden_count(const golden *g, const char *column);
/* "F" and "P", as results; returns how many. */
size_t golden_results(const char *text, uint8_t *results, size_t most);
/* Numbers with spaces between; returns how many. */
size_t golden_list(const char *text, double *values, size_t most);

/* Equal but for `error`, of 1 and of the value wanted, where that is larger:
 * what was computed is shown where it is not. */
#define assert_near(found, wanted, error)                                      \
    golden_near(found, wanted, error, #found, __FILE__, __LINE__)
void golden_near(double found, double wanted, double error, const char *what,
                 const char *file, int line);

/* A number from 0 to below 1, from a seed. */
double golden_uniform(uint64_t *state);
/* How often a simulation is repeated: less under valgrind, which is slow. */
int golden_times(int plain, int valgrind);

#endif
