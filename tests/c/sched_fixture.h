/* What the scheduler's tests say and expect. */
#ifndef SCHED_FIXTURE_H
#define SCHED_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "qe_plan.h"
#include "qe_sched.h"

/* A plan and its scheduler. */
struct fixture {
    qe_plan *plan;
    qe_sched *sched;
};

/* Units are given as text, one word each: a scope letter ('-': own scope),
 * then flags S(erial), T(ogether), F(resh), B(efore others), then the expected time. */
static inline struct fixture given(const char *words, qe__sched_options options)
{
    struct fixture f;
    const char *at = words;
    int n = 0;

    assert_int_equal(qe_plan_new(&f.plan), 0);
    while (*at != '\0') {
        char id[16], scope[2] = {0};
        qe_unit unit = {.id = id};

        snprintf(id, sizeof id, "u%d", n++);
        scope[0] = *at++;
        unit.scope = scope[0] != '-' ? scope : NULL;
        for (; *at >= 'A' && *at <= 'Z'; at++)
            unit.flags |= *at == 'S'   ? QE_UNIT_SERIAL
                          : *at == 'T' ? QE_UNIT_TOGETHER
                          : *at == 'B' ? QE_UNIT_FIRST
                                       : QE_UNIT_FRESH;
        while (*at >= '0' && *at <= '9')
            unit.expected_ns = unit.expected_ns * 10 + (uint64_t) (*at++ - '0');
        assert_int_equal(qe_plan_add(f.plan, &unit), 0);
        while (*at == ' ')
            at++;
    }
    assert_int_equal(qe_plan_seal(f.plan), 0);
    assert_int_equal(qe__sched_new(&f.sched, f.plan, &options), 0);
    return f;
}

static inline struct fixture given_slots(const char *words, uint32_t slots)
{
    return given(words, (qe__sched_options){.slots = slots});
}

static inline void end(struct fixture f)
{
    qe__sched_free(f.sched);
    qe_plan_free(f.plan);
}

static inline qe__step next(struct fixture f, uint64_t now_ns)
{
    qe__step step;

    assert_int_equal(qe__sched_next(f.sched, now_ns, &step), 0);
    return step;
}

static inline void expect_start(struct fixture f, uint64_t now_ns,
                                uint32_t slot, uint32_t unit, uint32_t attempt,
                                bool fresh)
{
    qe__step step = next(f, now_ns);

    assert_int_equal(step.kind, QE__STEP_START);
    assert_int_equal(step.slot, slot);
    assert_int_equal(step.unit, unit);
    assert_int_equal(step.attempt, attempt);
    assert_int_equal(step.count, 1);
    assert_int_equal(step.fresh, fresh);
}

static inline void expect_wait(struct fixture f, uint64_t now_ns,
                               uint64_t wake_ns)
{
    qe__step step = next(f, now_ns);

    assert_int_equal(step.kind, QE__STEP_WAIT);
    assert_true(step.wake_ns == wake_ns);
}

static inline void expect_done(struct fixture f)
{
    assert_int_equal(next(f, 0).kind, QE__STEP_DONE);
}

static inline void expect_queue(struct fixture f, uint32_t slot,
                                const char *wanted)
{
    char got[256] = "";
    const uint32_t *units;
    size_t n, i, used = 0;

    assert_int_equal(qe__sched_queue(f.sched, slot, &units, &n), 0);
    for (i = 0; i < n; i++)
        used += (size_t) snprintf(got + used, sizeof got - used, "%s%u",
                                  i ? " " : "", units[i]);
    assert_string_equal(got, wanted);
}

static inline void settle(struct fixture f, uint32_t slot, uint32_t unit)
{
    assert_int_equal(qe__sched_settled(f.sched, unit), 0);
    qe__sched_slot_free(f.sched, slot);
}

static inline void retry(struct fixture f, uint32_t slot, uint32_t unit,
                         uint32_t attempt, uint64_t not_before_ns)
{
    assert_int_equal(qe__sched_retry(f.sched, unit, attempt, not_before_ns), 0);
    qe__sched_slot_free(f.sched, slot);
}

#endif
