/* The session's state, shared by qe_session.c (the loop and what the host
 * calls), qe_session_decide.c (starting what can start), qe_session_slot.c
 * (what happens to one worker), qe_session_keeper.c (keepers),
 * qe_session_super.c (the supervisor) and qe_session_view.c (looking),
 * qe_session_live.c (telling other processes), qe_session_source.c (units
 * that come by claims). Internal. */
#ifndef QE_SESSION_H
#define QE_SESSION_H

#include <uv.h>

#include "qe.h"
#include "qe_exec.h"
#include "qe_live.h"
#include "qe_sched.h"
#include "qe_wire.h"

/* What is known of an attempt that has been plain so far, and was not told. */
typedef struct qe__plain {
    uint32_t seen;    /* START and PASSED frames; 0: none is held back */
    uint32_t told;    /* of these; not 0: it turned out to be something else */
    qe_event head[4]; /* their events */
} qe__plain;

typedef struct qe__session_slot {
    qe__reader reader;
    qe__plain plain;
    bool has_frame; /* one was read and not handled yet */
    qe__frame frame;
    const void *frame_data;
    bool alive;     /* ordered, started, or ended with its end not handled */
    bool idle;      /* waits for something to claim */
    bool waiting;   /* is ordered, and starts later: when the keeper is ready,
                       or after a refusal */
    bool lingers;   /* its last FINISH said that more may come */
    bool bye;       /* its session has ended as it should */
    bool began;     /* this worker has started at least one attempt */
    bool exited;    /* exit holds its end */
    bool is_void;   /* it died because its supervisor did */
    bool lost_told; /* its running attempt was reported as lost */
    bool deaf;      /* some of what it wrote could not be read */
    uint32_t sched_slot; /* whose turn it uses */
    int32_t pid;
    qe__notice exit;
} qe__session_slot;

typedef struct qe__session_unit {
    uint16_t finished; /* last attempt whose end was seen */
    uint8_t voids;     /* attempts that were lost with the supervisor */
    bool settled;
    bool held;      /* claimed by this node, and not begun */
    uint32_t claim; /* the attempt that it was claimed for; 0: it never was */
} qe__session_unit;

enum qe__keeper {
    QE__KEEPER_NONE,     /* workers are forked by the supervisor */
    QE__KEEPER_STARTING, /* or it has yet to be started again */
    QE__KEEPER_READY,
    QE__KEEPER_LEAVING /* it takes down what it holds */
};

typedef struct qe__session_keeper {
    enum qe__keeper state;
    uint32_t starts;
    bool asked_to_end; /* before it was ready */
    bool gone; /* a server that cannot serve, which is still to be told */
    int error; /* the errno of a start that was refused */
} qe__session_keeper;

struct qe_session {
    qe_plan *plan;
    qe_options options;
    qe__exec exec;
    qe_sched *sched;
    uv_loop_t loop;
    uv_poll_t control, bell, source;
    uv_timer_t timer;
    bool loop_open;
    bool control_readable, source_readable;
    bool room_changed; /* since it was told to the source */
    qe_source_room room;
    uint32_t homes; /* sched slots; arena slots from here on are for guests,
                       and those behind them for keepers */
    qe__session_keeper *keepers; /* 0: of fixtures; others: servers */
    uint32_t *held;              /* passes (scopes) whose server is not ready */
    uint32_t held_count;
    qe__session_slot *slots;
    qe__session_unit *units;
    uint32_t next_slot; /* where the search for a frame begins, for fairness */
    uint32_t traffic;   /* frames since the last wait */
    uint32_t alive;
    uint32_t retries_waiting; /* retries asked for and not started */
    uint64_t retry_due_ns;    /* when the first of them may start, or before */
    uint32_t next_park;       /* whose turn it is to make room */
    uint32_t crashes;
    uint32_t false_starts; /* workers in a row that died before any attempt,
                              weighed */
    uint32_t refusals;     /* in a row: the system would start no worker */
    int refused_errno;     /* why the last one was refused; 0: none was */
    bool refused_told;
    uint64_t pause_until_ns; /* until then none is started, after a refusal */
    int trouble;             /* a QE_E* code that ends the run */
    int trouble_errno;       /* with QE_ESYS */
    bool trouble_told;
    bool stopping;
    bool draining;
    bool done;
    char *blob; /* data of the last event that needed a copy */
    qe__live live;
    uint32_t outcomes[QE_OUTCOME_COUNT]; /* units that are settled */
};

/* Starts a worker in an arena slot; with a scope of its own, opens that at the
 * first attempt. */
int qe__session_launch(qe_session *s, uint32_t slot, enum qe__job_kind kind,
                       uint32_t unit, uint32_t attempt, uint32_t scope,
                       uint32_t sched_slot);
/* One decoded frame: true if it is an event for the host. */
bool qe__session_frame(qe_session *s, uint32_t slot, const qe__frame *frame,
                       const void *data, qe_event *out);
/* What was held back as plain, event by event, once `next` (NULL: the end)
 * shows that it is not: true while there is one. */
bool qe__session_replay(qe_session *s, uint32_t slot, const qe__frame *next,
                        qe_event *out);
/* The next event of a worker's end; after the last one the slot is free. */
bool qe__session_exit(qe_session *s, uint32_t slot, qe_event *out);
/* Gives the order to start what was laid out, or leaves it for later. */
int qe__session_order_start(qe_session *s, uint32_t slot);
/* The workers that are alive: all but keepers. */
uint32_t qe__session_workers(const qe_session *s);
/* Whether these options say what servers take. */
bool qe__session_sound_servers(const qe_options *options);
/* Room for what is known of keepers. */
int qe__session_keepers_new(qe_session *s, uint32_t count);
/* Starts the keeper of fixtures, if one is wanted. */
int qe__session_keep(qe_session *s);
/* A pass has been laid out: gives it to the scheduler, at once or when its server
 * is ready, which this starts. */
void qe__session_take_pass(qe_session *s, uint32_t scope);
/* The keeper of a slot, or QE__NONE. */
uint32_t qe__session_keeper_of(const qe_session *s, uint32_t slot);
/* This slot's process says that it is ready: false if it is no keeper. */
bool qe__session_keeper_ready(qe_session *s, uint32_t slot);
/* It has left; it left before it had forked this slot's worker. */
void qe__session_keeper_left(qe_session *s, uint32_t keeper);
void qe__session_no_keeper(qe_session *s, uint32_t slot);
/* Their supervisor is dead, and they with it. */
void qe__session_keepers_lost(qe_session *s);
/* The next server that cannot serve; false if there is none to tell. */
bool qe__session_server_gone(qe_session *s, qe_event *out);
/* Tells them that all workers have left, once they have; true if one was told. */
bool qe__session_dismiss_keepers(qe_session *s);
/* Does without all servers: the system has no room for workers beside them. */
void qe__session_spare_servers(qe_session *s);
/* Starts what waits, or drops it where nothing more is to start. */
void qe__session_release(qe_session *s);
/* A worker that was not started, and never will be. */
void qe__session_never(qe_session *s, uint32_t slot);
/* The system would not start the worker of this slot. */
void qe__session_refused(qe_session *s, uint32_t slot, int error);
/* A status of libuv as a code, with errno. */
int qe__session_uv_code(int status);
/* Listens to the supervisor in office. */
int qe__session_watch(qe_session *s);
/* Takes in what it says; true if that is an event for the host. */
bool qe__session_notice(qe_session *s, qe_event *out);
/* The time to say what the run is doing. */
void qe__session_tell(qe_session *s, uint64_t now_ns);
/* With a source: listens to it; takes in what it says, true if that is an event for the
 * host; says what there is to do here. */
int qe__session_watch_source(qe_session *s);
/* A turn is free: what was claimed while others had it, as fresh workers do, gets a worker. */
void qe__session_start_claimed(qe_session *s);
bool qe__session_source(qe_session *s, qe_event *out);
void qe__session_tell_room(qe_session *s);
/* A unit has begun, or ended unseen. */
void qe__session_begun(qe_session *s, uint32_t unit);
/* Starts all that can start. *wake_ns: when to look again. */
int qe__session_decide(qe_session *s, uint64_t *wake_ns);
/* Nothing new is to start. */
void qe__session_halt(qe_session *s);
/* Asks a worker to rest after what it runs now, or to go on. */
void qe__session_park(qe_session *s, uint32_t slot, bool rest);
/* An attempt is asked for again: counts it among those that need room. */
void qe__session_need_room(qe_session *s, uint32_t unit, uint32_t attempt,
                           uint64_t not_before_ns);

#endif
