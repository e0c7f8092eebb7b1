/*
 * Makes allocations fail, one after another. Included by one file of a test
 * program that is linked with --wrap for malloc, calloc and realloc; the
 * counters below belong to that program, the core knows nothing of them.
 * Leaks are for the sanitizers and valgrind to find.
 */
#ifndef ALLOC_FAULT_H
#define ALLOC_FAULT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "qe.h"

static struct {
    size_t countdown; /* this many allocations from now fails; 0: none */
    bool failed;      /* one did */
} alloc_fault;

static bool alloc_fault_now(void)
{
    if (alloc_fault.countdown == 0 || --alloc_fault.countdown > 0)
        return false;
    alloc_fault.failed = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return alloc_fault_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return alloc_fault_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return alloc_fault_now() ? NULL : __real_realloc(old, size);
}

/* Calls the operation with its first allocation failing, then its second, and
 * so on; each of these calls must return QE_ENOMEM and leave things so that
 * the next one can be made. The last call meets no failure, and must succeed.
 * Returns how many calls failed. */
static inline size_t alloc_fault_sweep(int (*operation)(void *context),
                                       void *context)
{
    size_t n;

    for (n = 0;; n++) {
        int result;

        alloc_fault.countdown = n + 1;
        alloc_fault.failed = false;
        result = operation(context);
        alloc_fault.countdown = 0;
        if (!alloc_fault.failed) {
            assert_int_equal(result, 0);
            return n;
        }
        assert_int_equal(result, QE_ENOMEM);
    }
}

#endif
