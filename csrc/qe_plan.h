/* What the scheduler and the arena read of a sealed plan. Internal. */
#ifndef QE_PLAN_H
#define QE_PLAN_H

#include "qe_command.h"

size_t qe__plan_scope_count(const qe_plan *plan);
/* The units of a scope in the order they were added; n to *count. */
const uint32_t *qe__plan_scope_units(const qe_plan *plan, uint32_t scope,
                                     uint32_t *count);
/* OR of the flags of its units. */
uint32_t qe__plan_scope_flags(const qe_plan *plan, uint32_t scope);
uint32_t qe__plan_unit_scope(const qe_plan *plan, uint32_t unit);
/* What a unit executes, or NULL; and how many units have something. */
const qe__command *qe__plan_command(const qe_plan *plan, uint32_t unit);
size_t qe__plan_commands(const qe_plan *plan);
/* Scopes are numbered by the first unit that names them. */

/* SPARE units: how many there were when the plan was sealed; how many passes can
 * be made of them; and how many are left. */
size_t qe__plan_spares(const qe_plan *plan);
size_t qe__plan_most_passes(const qe_plan *plan);
size_t qe__plan_spare(const qe_plan *plan);
/* The first of these becomes a pass: *scope, and its first unit. */
int qe__plan_pass(qe_plan *plan, const qe_pass *pass, uint32_t *scope,
                  uint32_t *unit);

#endif
