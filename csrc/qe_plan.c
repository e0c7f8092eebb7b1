/*
 * The plan: every unit, grouped by scope. While it is being built, a hash
 * table finds scopes by name; sealing counts the units of each scope and lays
 * them out scope by scope, and from then on nothing changes.
 */
#include "qe_plan.h"

#include <stdlib.h>
#include <string.h>

#include "qe_util.h"

#define MAX_UNITS (UINT32_C(1) << 26)
#define MAX_RETRIES 65535u
#define ALL_FLAGS                                                              \
    (QE_UNIT_SERIAL | QE_UNIT_TOGETHER | QE_UNIT_FRESH | QE_UNIT_SPARE |       \
     QE_UNIT_FIRST)
#define MAX_PASSES (UINT32_C(1) << 17) /* of SPARE units */
#define MIN_BLOCK_BYTES ((size_t) 4096)
#define MAX_BLOCK_BYTES ((size_t) 1 << 20)

struct unit {
    const char *id;
    const qe__command *command; /* NULL: none */
    uint64_t timeout_ns;
    uint64_t expected_ns;
    uint32_t item;
    uint32_t pass;
    uint32_t scope;
    uint16_t retries;
    uint16_t flags;
};

struct scope {
    const char *name; /* NULL for the own scope of a unit */
    uint32_t hash;
    uint32_t count; /* of units */
    uint32_t start; /* in order */
    uint32_t flags; /* OR of the units' */
};

/* Strings live in blocks that never move, since qe_plan_get hands them out. */
struct block {
    struct block *next;
    size_t used, size;
    char bytes[];
};

struct qe_plan {
    struct unit *unit;
    size_t unit_capacity;
    uint32_t units;
    struct scope *scope;
    size_t scope_capacity;
    uint32_t scopes;
    uint32_t *table; /* scope number plus one, 0: empty; a power of two */
    uint32_t table_size;
    uint32_t named; /* scopes in the table */
    struct block *block;
    qe__command *commands; /* of all units that have one */
    size_t command_count;
    uint32_t *order;        /* units, scope by scope; NULL until sealed */
    uint32_t spares, spare; /* SPARE units: in all, and those that are left */
    uint32_t passes, most_passes;
};

int qe_plan_new(qe_plan **out)
{
    if (out == NULL)
        return QE_EINVAL;
    *out = calloc(1, sizeof **out);
    return *out != NULL ? 0 : QE_ENOMEM;
}

void qe_plan_free(qe_plan *plan)
{
    if (plan == NULL)
        return;
    while (plan->block != NULL) {
        struct block *next = plan->block->next;

        free(plan->block);
        plan->block = next;
    }
    while (plan->commands != NULL) {
        qe__command *next = plan->commands->next;

        free(plan->commands);
        plan->commands = next;
    }
    free(plan->unit);
    free(plan->scope);
    free(plan->table);
    free(plan->order);
    free(plan);
}

/* Makes sure that `need` more bytes fit the current block. */
static int reserve_bytes(qe_plan *plan, size_t need)
{
    struct block *block = plan->block;
    size_t size = MIN_BLOCK_BYTES;

    if (block != NULL) {
        if (block->size - block->used >= need)
            return 0;
        size = block->size < MAX_BLOCK_BYTES / 2 ? block->size * 2
                                                 : MAX_BLOCK_BYTES;
    }
    if (size < need)
        size = need;
    if (size > SIZE_MAX - sizeof *block)
        return QE_ENOMEM;
    block = malloc(sizeof *block + size);
    if (block == NULL)
        return QE_ENOMEM;
    block->next = plan->block;
    block->used = 0;
    block->size = size;
    plan->block = block;
    return 0;
}

/* `size` counts the NUL; reserve_bytes has made room. */
static const char *keep_string(qe_plan *plan, const char *string, size_t size)
{
    char *copy = plan->block->bytes + plan->block->used;

    memcpy(copy, string, size);
    plan->block->used += size;
    return copy;
}

/* FNV-1a, folded to 32 bits: only this table sees it. */
static uint32_t hash_name(const char *name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char) *name) * UINT64_C(0x100000001b3);
    return (uint32_t) (hash ^ (hash >> 32));
}

static int reserve_table(qe_plan *plan)
{
    uint32_t size = plan->table_size > 0 ? plan->table_size * 2 : 64;
    uint32_t *table;
    uint32_t i;

    if (plan->named < plan->table_size / 4 * 3)
        return 0;
    table = calloc(size, sizeof *table);
    if (table == NULL)
        return QE_ENOMEM;
    for (i = 0; i < plan->table_size; i++) {
        uint32_t at;

        if (plan->table[i] == 0)
            continue;
        at = plan->scope[plan->table[i] - 1].hash & (size - 1);
        while (table[at] != 0)
            at = (at + 1) & (size - 1);
        table[at] = plan->table[i];
    }
    free(plan->table);
    plan->table = table;
    plan->table_size = size;
    return 0;
}

/* The scope of that name, or plan->scopes if there is none; then *at is where
 * it belongs in the table. */
static uint32_t find_scope(const qe_plan *plan, const char *name, uint32_t hash,
                           uint32_t *at)
{
    *at = hash & (plan->table_size - 1);
    while (plan->table[*at] != 0) {
        const struct scope *scope = &plan->scope[plan->table[*at] - 1];

        if (scope->hash == hash && strcmp(scope->name, name) == 0)
            return plan->table[*at] - 1;
        *at = (*at + 1) & (plan->table_size - 1);
    }
    return plan->scopes;
}

/* The scope a unit goes to: one that exists, or a new one, for which room is
 * made. Also makes room for the id. Nothing visible changes. */
static int choose_scope(qe_plan *plan, const char *name, size_t id_size,
                        uint32_t *scope, uint32_t *hash, uint32_t *at)
{
    size_t bytes = id_size;
    int err;

    *scope = plan->scopes;
    if (name != NULL) {
        const struct scope *last;

        /* Units mostly come scope by scope. */
        if (plan->units > 0) {
            last = &plan->scope[plan->unit[plan->units - 1].scope];
            if (last->name != NULL && strcmp(last->name, name) == 0) {
                *scope = plan->unit[plan->units - 1].scope;
                return reserve_bytes(plan, bytes);
            }
        }
        err = reserve_table(plan);
        if (err != 0)
            return err;
        *hash = hash_name(name);
        *scope = find_scope(plan, name, *hash, at);
        if (*scope == plan->scopes)
            bytes += strlen(name) + 1;
    }
    if (*scope == plan->scopes) {
        err = qe__grow(&plan->scope, &plan->scope_capacity,
                       (size_t) plan->scopes + 1, sizeof *plan->scope);
        if (err != 0)
            return err;
    }
    return reserve_bytes(plan, bytes);
}

static void add_scope(qe_plan *plan, const char *name, uint32_t hash,
                      uint32_t at)
{
    struct scope *scope = &plan->scope[plan->scopes++];

    memset(scope, 0, sizeof *scope);
    if (name == NULL)
        return;
    scope->name = keep_string(plan, name, strlen(name) + 1);
    scope->hash = hash;
    plan->table[at] = plan->scopes;
    plan->named++;
}

/* SPARE units are the last, of one scope, and nothing else. */
static bool fits_spares(const qe_plan *plan, const qe_unit *unit)
{
    const struct unit *first;

    if ((unit->flags & QE_UNIT_SPARE) == 0)
        return plan->spares == 0;
    if (unit->flags != QE_UNIT_SPARE || unit->scope == NULL ||
        unit->argv != NULL)
        return false;
    if (plan->spares == 0)
        return true;
    first = &plan->unit[plan->units - plan->spares];
    return strcmp(plan->scope[first->scope].name, unit->scope) == 0;
}

int qe_plan_add(qe_plan *plan, const qe_unit *unit)
{
    struct unit *new;
    size_t id_size;
    uint32_t scope, hash = 0, at = 0;
    qe__command *command;
    int err;

    if (plan == NULL || unit == NULL || unit->id == NULL ||
        (unit->flags & ~ALL_FLAGS) != 0)
        return QE_EINVAL;
    if (plan->order != NULL)
        return QE_ESTATE;
    if (!fits_spares(plan, unit))
        return QE_EINVAL;
    if (plan->units >= MAX_UNITS || unit->retries > MAX_RETRIES)
        return QE_ETOOBIG;

    id_size = strlen(unit->id) + 1;
    err = qe__grow(&plan->unit, &plan->unit_capacity, (size_t) plan->units + 1,
                   sizeof *plan->unit);
    if (err == 0)
        err = choose_scope(plan, unit->scope, id_size, &scope, &hash, &at);
    if (err == 0)
        err = qe__command_copy(&command, unit);
    if (err != 0)
        return err;

    if (scope == plan->scopes)
        add_scope(plan, unit->scope, hash, at);
    plan->scope[scope].count++;
    plan->scope[scope].flags |= unit->flags;
    new = &plan->unit[plan->units++];
    new->id = keep_string(plan, unit->id, id_size);
    new->command = command;
    if (command != NULL) {
        command->next = plan->commands;
        plan->commands = command;
        plan->command_count++;
    }
    new->timeout_ns = unit->timeout_ns;
    new->expected_ns = unit->expected_ns;
    new->item = unit->item;
    new->pass = unit->pass;
    new->scope = scope;
    new->retries = (uint16_t) unit->retries;
    new->flags = (uint16_t) unit->flags;
    plan->spares += (unit->flags & QE_UNIT_SPARE) != 0;
    return 0;
}

int qe_plan_seal(qe_plan *plan)
{
    uint32_t *order;
    uint32_t i, start = 0;

    if (plan == NULL)
        return QE_EINVAL;
    if (plan->order != NULL)
        return QE_ESTATE;
    plan->most_passes = plan->spares < MAX_PASSES ? plan->spares : MAX_PASSES;
    if (plan->spares > 0 && qe__grow(&plan->scope, &plan->scope_capacity,
                                     (size_t) plan->scopes + plan->most_passes,
                                     sizeof *plan->scope) != 0)
        return QE_ENOMEM;
    /* One more than needed, so that an empty plan is sealed by a pointer. */
    order = malloc(qe__mul((size_t) plan->units + 1, sizeof *order));
    if (order == NULL)
        return QE_ENOMEM;
    for (i = 0; i < plan->scopes; i++) {
        plan->scope[i].start = start;
        start += plan->scope[i].count;
        plan->scope[i].count = 0;
    }
    for (i = 0; i < plan->units; i++) {
        struct scope *scope = &plan->scope[plan->unit[i].scope];

        order[scope->start + scope->count++] = i;
    }
    plan->order = order;
    plan->spare = plan->spares;
    free(plan->table);
    plan->table = NULL;
    plan->table_size = 0;
    return 0;
}

size_t qe_plan_count(const qe_plan *plan)
{
    return plan != NULL ? plan->units : 0;
}

int qe_plan_get(const qe_plan *plan, size_t unit, qe_unit *out)
{
    const struct unit *u;

    if (plan == NULL || out == NULL || unit >= plan->units)
        return QE_EINVAL;
    u = &plan->unit[unit];
    out->id = u->id;
    out->scope = plan->scope[u->scope].name;
    out->item = u->item;
    out->pass = u->pass;
    out->flags = u->flags;
    out->retries = u->retries;
    out->timeout_ns = u->timeout_ns;
    out->expected_ns = u->expected_ns;
    out->argv = u->command != NULL ? u->command->argv : NULL;
    out->env = u->command != NULL ? u->command->env : NULL;
    out->cwd = u->command != NULL ? u->command->cwd : NULL;
    out->warm = u->command != NULL ? u->command->warm : NULL;
    out->limits = u->command != NULL ? u->command->limits : (qe_limits){0};
    return 0;
}

int qe_plan_place(const qe_plan *plan, size_t place, uint32_t *unit,
                  uint32_t *scope)
{
    if (plan == NULL || place >= plan->units)
        return QE_EINVAL;
    if (plan->order == NULL)
        return QE_ESTATE;
    *unit = plan->order[place];
    *scope = plan->unit[*unit].scope;
    return 0;
}

const qe__command *qe__plan_command(const qe_plan *plan, uint32_t unit)
{
    return plan->unit[unit].command;
}

size_t qe__plan_commands(const qe_plan *plan)
{
    return plan->command_count;
}

size_t qe__plan_scope_count(const qe_plan *plan)
{
    return plan->scopes;
}

const uint32_t *qe__plan_scope_units(const qe_plan *plan, uint32_t scope,
                                     uint32_t *count)
{
    *count = plan->scope[scope].count;
    /* Before sealing there is nothing; the scheduler tells by that. */
    return plan->order != NULL ? plan->order + plan->scope[scope].start : NULL;
}

uint32_t qe__plan_scope_flags(const qe_plan *plan, uint32_t scope)
{
    return plan->scope[scope].flags;
}

uint32_t qe__plan_unit_scope(const qe_plan *plan, uint32_t unit)
{
    return plan->unit[unit].scope;
}

size_t qe__plan_spares(const qe_plan *plan)
{
    return plan->spares;
}

size_t qe__plan_most_passes(const qe_plan *plan)
{
    return plan->most_passes;
}

size_t qe__plan_spare(const qe_plan *plan)
{
    return plan->spare;
}

/* SPARE units are the last ones and of one scope, so a pass is of units that
 * follow each other, also in the scope order. */
int qe__plan_pass(qe_plan *plan, const qe_pass *pass, uint32_t *scope,
                  uint32_t *unit)
{
    uint32_t flags = QE_UNIT_FRESH | QE_UNIT_TOGETHER | pass->flags;
    uint32_t first = plan->units - plan->spare;
    struct scope *rest, *own;

    if (pass->n == 0 || (pass->flags & ~QE_UNIT_SERIAL) != 0)
        return QE_EINVAL;
    if (plan->order == NULL)
        return QE_ESTATE;
    if (pass->n > plan->spare || plan->passes >= plan->most_passes)
        return QE_ETOOBIG;
    rest = &plan->scope[plan->unit[first].scope];
    own = &plan->scope[plan->scopes];
    memset(own, 0, sizeof *own);
    own->start = rest->start;
    own->count = (uint32_t) pass->n;
    own->flags = flags;
    for (uint32_t i = 0; i < own->count; i++) {
        struct unit *u = &plan->unit[first + i];

        u->item = pass->items[i];
        u->pass = pass->number;
        u->timeout_ns = pass->timeout_ns != NULL ? pass->timeout_ns[i] : 0;
        u->flags = (uint16_t) flags;
        u->scope = plan->scopes;
    }
    rest->start += own->count;
    rest->count -= own->count;
    plan->spare -= own->count;
    plan->passes++;
    *scope = plan->scopes++;
    *unit = first;
    return 0;
}
