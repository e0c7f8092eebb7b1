/* What a unit executes: its copy, and its environment. */
#include "qe_command.h"

#include <stdlib.h>
#include <string.h>

#include "alloc_fault.h"

static char *const words[] = {"program", "", "an argument", NULL};
static char *const additions[] = {"A=1", "B=", "GONE", "A=2=3", NULL};

static void a_copy_shares_nothing_with_the_unit(void **state)
{
    char word[] = "program", folder[] = "/folder", addition[] = "A=1";
    char *argv[] = {word, NULL}, *env[] = {addition, NULL}, server[] = "@w",
         procs[] = "/procs";
    qe_unit unit = {.id = "a",
                    .argv = argv,
                    .env = env,
                    .cwd = folder,
                    .warm = server,
                    .limits = {1, 2, 3, procs}};
    qe__command *command;

    (void) state;
    assert_int_equal(qe__command_copy(&command, &unit), 0);
    word[0] = folder[0] = addition[0] = server[0] = procs[0] = '?';
    unit.limits.files = 4;
    argv[0] = env[0] = NULL;
    assert_string_equal(command->argv[0], "program");
    assert_null(command->argv[1]);
    assert_string_equal(command->env[0], "A=1");
    assert_null(command->env[1]);
    assert_string_equal(command->cwd, "/folder");
    assert_string_equal(command->warm, "@w");
    assert_int_equal(command->limits.memory_bytes, 1);
    assert_int_equal(command->limits.cpu_s, 2);
    assert_int_equal(command->limits.files, 3);
    assert_string_equal(command->limits.cgroup, "/procs");
    free(command);
}

static void what_is_left_out_stays_so(void **state)
{
    qe_unit unit = {.id = "a"};
    qe__command *command = (qe__command *) &unit;

    (void) state;
    assert_int_equal(qe__command_copy(&command, &unit), 0);
    assert_null(command);
    unit.argv = words;
    assert_int_equal(qe__command_copy(&command, &unit), 0);
    assert_string_equal(command->argv[1], "");
    assert_string_equal(command->argv[2], "an argument");
    assert_null(command->argv[3]);
    assert_null(command->env[0]);
    assert_null(command->cwd);
    assert_null(command->warm);
    assert_int_equal(command->limits.memory_bytes, 0);
    assert_int_equal(command->limits.cpu_s, 0);
    assert_int_equal(command->limits.files, 0);
    assert_null(command->limits.cgroup);
    free(command);
}

static void nonsense_is_refused(void **state)
{
    static char *const none[] = {NULL}, *const empty[] = {"", NULL};
    static char *const bare[] = {"", NULL}, *const nameless[] = {"=1", NULL};
    const qe_unit wrong[] = {
        {.id = "a", .argv = none},
        {.id = "a", .argv = empty},
        {.id = "a", .argv = words, .env = bare},
        {.id = "a", .argv = words, .env = nameless},
        {.id = "a", .env = additions},
        {.id = "a", .cwd = "/"},
        {.id = "a", .warm = "@w"},
        {.id = "a", .limits = {.memory_bytes = 1}},
        {.id = "a", .limits = {.cpu_s = 1}},
        {.id = "a", .limits = {.files = 3}},
        /* /dev/null and both streams are open. */
        {.id = "a", .argv = words, .limits = {.files = 1}},
        {.id = "a", .argv = words, .limits = {.files = 2}},
    };
    qe__command *command;

    (void) state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(qe__command_copy(&command, &wrong[i]), QE_EINVAL);
        assert_null(command);
    }
}

static void additions_come_instead_of_what_has_their_name(void **state)
{
    static char *const own[] = {"X=0", "A=0", "AB=0", "odd", "GONE=0", NULL};
    qe_unit unit = {.id = "a", .argv = words, .env = additions};
    qe__command *command;
    char **all;

    (void) state;
    assert_int_equal(qe__command_copy(&command, &unit), 0);
    all = qe__command_environ(command, own);
    assert_non_null(all);
    assert_string_equal(all[0], "X=0");
    assert_string_equal(all[1], "AB=0");
    assert_string_equal(all[2], "odd");
    assert_string_equal(all[3], "B=");
    assert_string_equal(all[4], "A=2=3"); /* the last of a name */
    assert_null(all[5]);
    free(all);
    all = qe__command_environ(command, NULL);
    assert_non_null(all);
    assert_string_equal(all[0], "B=");
    assert_string_equal(all[1], "A=2=3");
    assert_null(all[2]);
    free(all);
    free(command);
}

/* What a plan does with it, so that its own lists are swept too. */
static int plan_a_command(void *context)
{
    qe_unit unit = {.id = "a",
                    .argv = words,
                    .env = additions,
                    .cwd = "/",
                    .warm = "@w",
                    .limits = {1, 2, 3}};
    qe_plan *plan;
    int status = qe_plan_new(&plan);

    (void) context;
    if (status != 0)
        return status;
    status = qe_plan_add(plan, &unit);
    if (status == 0) {
        qe_unit got;

        status = qe_plan_get(plan, 0, &got);
        assert_string_equal(got.argv[2], "an argument");
        assert_string_equal(got.env[0], "A=1");
        assert_string_equal(got.cwd, "/");
        assert_string_equal(got.warm, "@w");
        assert_memory_equal(&got.limits, &unit.limits, sizeof(got.limits));
    } else {
        assert_int_equal(qe_plan_count(plan), 0);
    }
    qe_plan_free(plan);
    return status;
}

static int merge(void *context)
{
    char **all = qe__command_environ(context, words);

    free(all);
    return all != NULL ? 0 : QE_ENOMEM;
}

static void out_of_memory_is_told(void **state)
{
    qe_unit unit = {.id = "a", .argv = words, .env = additions};
    qe__command *command;

    (void) state;
    assert_true(alloc_fault_sweep(plan_a_command, NULL) >= 3);
    assert_int_equal(qe__command_copy(&command, &unit), 0);
    assert_int_equal(alloc_fault_sweep(merge, command), 1);
    free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_shares_nothing_with_the_unit),
        cmocka_unit_test(what_is_left_out_stays_so),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(additions_come_instead_of_what_has_their_name),
        cmocka_unit_test(out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
