/* Room: what categories take while they run, of the machine, of their layer, and of names
 * that one alone may have. */
#include "qe_stage.h"

static bool fits(const qe__room *all, const qe__room *used,
                 const qe__room *more)
{
    return (all->memory_bytes == 0 ||
            used->memory_bytes + more->memory_bytes <= all->memory_bytes) &&
           (all->cpu_milli == 0 ||
            used->cpu_milli + more->cpu_milli <= all->cpu_milli) &&
           (all->instances == 0 ||
            used->instances + more->instances <= all->instances);
}

static void take(qe__room *used, const qe__room *more)
{
    used->memory_bytes += more->memory_bytes;
    used->cpu_milli += more->cpu_milli;
    used->instances += more->instances;
}

static void give(qe__room *used, const qe__room *back)
{
    used->memory_bytes -= back->memory_bytes;
    used->cpu_milli -= back->cpu_milli;
    used->instances -= back->instances;
}

/* A processor for each, where it is the order of these that decides. */
static qe__room room_of(const qe_stage *s, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    qe__room room = c->room;

    if (room.cpu_milli == 0 && s->layer[c->layer].mode == QE__MODE_HYBRID &&
        s->machine.cpu_milli != 0) {
        room.cpu_milli =
            s->machine.cpu_milli < 1000 ? s->machine.cpu_milli : 1000;
    }
    return room;
}

bool qe__stage_has_room(const qe_stage *s, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    const qe__stage_layer *layer = &s->layer[c->layer];
    qe__room room = room_of(s, category);

    if (layer->most != 0 && layer->running >= layer->most) {
        return false;
    }
    for (uint32_t i = 0; i < c->exclusive.count; i++) {
        if (s->taken[c->exclusive.at[i]]) {
            return false;
        }
    }
    return fits(&s->machine, &s->used, &room) &&
           fits(&s->l->layer[c->layer].room, &layer->used, &room);
}

void qe__stage_reserve(qe_stage *s, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    qe__room room = room_of(s, category);

    take(&s->used, &room);
    take(&s->layer[c->layer].used, &room);
    s->layer[c->layer].running++;
    s->running++;
    for (uint32_t i = 0; i < c->exclusive.count; i++) {
        s->taken[c->exclusive.at[i]] = true;
    }
}

void qe__stage_release(qe_stage *s, uint32_t category)
{
    const qe__category *c = &s->l->category[category];
    qe__room room = room_of(s, category);

    give(&s->used, &room);
    give(&s->layer[c->layer].used, &room);
    s->layer[c->layer].running--;
    s->running--;
    for (uint32_t i = 0; i < c->exclusive.count; i++) {
        s->taken[c->exclusive.at[i]] = false;
    }
}

static bool share_a_name(const qe_stage *s, uint32_t a, uint32_t b)
{
    const qe__list *x = &s->l->category[a].exclusive;
    const qe__list *y = &s->l->category[b].exclusive;

    for (uint32_t i = 0; i < x->count; i++) {
        for (uint32_t k = 0; k < y->count; k++) {
            if (x->at[i] == y->at[k]) {
                return true;
            }
        }
    }
    return false;
}

bool qe__stage_delays(const qe_stage *s, uint32_t other, uint32_t first)
{
    uint32_t own = s->l->category[first].layer;
    const qe__stage_layer *layer = &s->layer[own];
    qe__room all = s->used, in_layer = layer->used;
    uint32_t running = layer->running;
    qe__room both = room_of(s, first), room = room_of(s, other);

    if (share_a_name(s, other, first)) {
        return true;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t holder = s->order[i];
        qe__room held = room_of(s, holder);

        if (s->category[holder].spot == QE__SPOT_RUNNING &&
            share_a_name(s, holder, first)) {
            give(&all, &held);
            if (s->l->category[holder].layer == own) {
                give(&in_layer, &held);
                running--;
            }
        }
    }
    take(&both, &room);
    return !fits(&s->machine, &all, &both) ||
           (s->l->category[other].layer == own &&
            (!fits(&s->l->layer[own].room, &in_layer, &both) ||
             (layer->most != 0 && running + 2 > layer->most)));
}
