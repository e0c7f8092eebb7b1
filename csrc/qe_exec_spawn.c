/* Commands as units: a worker that the supervisor forks, and that runs no code
 * of the host's. It claims a unit, executes its command, and says what became
 * of it; so whatever a command does, the worker is there to tell. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "qe_child.h"
#include "qe_plan.h"
#include "qe_super.h"
#include "qe_worker.h"

#define OUTPUT_BYTES ((size_t) 256 * 1024) /* of each stream, by default */
#define LOOK_NS (200 * QE__MS) /* how often a stop is looked for in a wait */
#define ROOM_NS (10 * QE__MS)  /* ... and for the end of another command */
#define REFUSED_MAX 20         /* starts in a row that the system refused */
#define REFUSED_NS (100 * QE__MS)
#define POLL_FAILED_NS (10 * QE__MS)

typedef struct spawner {
    const qe__super *super;
    qe_worker *worker;
    qe__arena_slot *slot;
    qe__child child;
    qe__excerpt output[2];
    int signals;   /* signalfd: of children, and of the supervisor */
    sigset_t mask; /* what commands start with */
    char *text;    /* of the last end that was told */
    /* Of the command that runs: */
    bool ending;       /* it was asked to end */
    uint64_t until_ns; /* ... and is killed then */
} spawner;

/* ------------------------------------------------------------------ the worker */

/* Handlers are the host's, and so is what it ignores for its own sake; what a
 * user had it ignore (nohup) holds for commands too. */
static void settle_signals(spawner *s)
{
    static const int own[] = {SIGCHLD, SIGTERM, SIGINT, SIGCONT};
    struct sigaction action;
    sigset_t mask;

    for (int sig = 1; sig < NSIG; sig++) {
        if (sigaction(sig, NULL, &action) == 0 &&
            (action.sa_handler != SIG_IGN || sig == SIGPIPE || sig == SIGXFSZ ||
             sig == SIGCHLD)) {
            memset(&action, 0, sizeof(action));
            action.sa_handler = SIG_DFL;
            (void) sigaction(sig, &action, NULL);
        }
    }
    (void) sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        (void) sigaddset(&mask, own[i]);
    }
    (void) sigprocmask(SIG_BLOCK, &mask, &s->mask);
    s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A command finds three descriptors and no more, whatever the host had (from
 * Linux 5.11 on; before, also those that the host has not marked). */
static void settle_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    while (fd >= 0 && fd <= 2) {
        fd = dup(fd);
    }
    if (fd >= 0) {
        (void) close(fd);
    }
#ifdef SYS_close_range
    /* 4 is CLOSE_RANGE_CLOEXEC, which older headers lack. */
    (void) syscall(SYS_close_range, 3u, ~0u, 4u);
#endif
}

static bool stopping(const spawner *s)
{
    return atomic_load(&s->super->arena->head->stop) == QE__STOP_NOW;
}

static void rest(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t) (ns / 1000000000),
                            .tv_nsec = (long) (ns % 1000000000)};

    (void) nanosleep(&time, NULL);
}

/* Whoever wants to run says so before it counts: of any that run, the last to say
 * so has counted all the others. Two that say so at once may both go back. The
 * supervisor takes the word back where a worker dies. */
static bool take_room(const spawner *s, uint32_t max)
{
    uint32_t running = 0;

    atomic_store(&s->slot->turn, 1);
    for (uint32_t i = 0; i < s->super->arena->head->slots; i++) {
        running += atomic_load(&s->super->arena->slots[i].turn) != 0;
    }
    if (max != 0 && running > max) {
        atomic_store(&s->slot->turn, 0);
        return false;
    }
    return true;
}

/* Waits for this command's turn among the starts of all workers. What is to be kept may
 * change meanwhile. */
static void await_turn(const spawner *s)
{
    qe__arena_head *head = s->super->arena->head;

    while (!stopping(s)) {
        uint64_t throttle = atomic_load(&head->throttle_ns);
        uint64_t last = atomic_load(&head->last_start_ns);
        uint64_t now = qe_now_ns();
        uint64_t gone = now > last ? now - last : 0;

        if (last != 0 && gone < throttle) {
            rest(throttle - gone < LOOK_NS ? throttle - gone : LOOK_NS);
        } else if (!take_room(s, atomic_load(&head->running_max))) {
            rest(ROOM_NS);
        } else if (atomic_compare_exchange_strong(&head->last_start_ns, &last,
                                                  now) ||
                   throttle == 0) {
            return; /* taken when it starts: a late one is not made up for */
        } else {
            atomic_store(&s->slot->turn, 0);
        }
    }
}

/* ----------------------------------------------------------------- one command */

static bool timed_out(const spawner *s)
{
    return atomic_load(&s->slot->deadline_ns) == QE__DEADLINE_KILLED;
}

/* Asks the command to end; it is killed if it has not when its grace is over. */
static void ask(spawner *s, int sig)
{
    uint64_t grace = s->super->options->grace_ns;

    s->ending = true;
    s->until_ns = qe_now_ns() + grace;
    if (grace == 0) {
        sig = SIGKILL;
    }
    qe__child_signal(&s->child, sig);
    if (sig != SIGKILL) { /* one that is stopped could not hear it */
        qe__child_signal(&s->child, SIGCONT);
    }
}

static void take_signals(spawner *s)
{
    struct signalfd_siginfo all[8];
    ssize_t n = read(s->signals, all, sizeof(all));

    for (size_t i = 0; n > 0 && i < (size_t) n / sizeof(all[0]); i++) {
        switch (all[i].ssi_signo) {
        case SIGINT:
            if (!s->ending) {
                ask(s, SIGINT);
            }
            break;
        case SIGTERM:
            /* The supervisor's; it may come late, and means nobody then. */
            if (!s->ending && timed_out(s)) {
                ask(s, SIGTERM);
            }
            break;
        case SIGCONT:
            /* The run was held, for nobody knows how long. */
            if (s->ending) {
                s->until_ns = qe_now_ns() + s->super->options->grace_ns;
            }
            break;
        default:
            break;
        }
    }
}

static int wait_ms(spawner *s)
{
    uint64_t now = qe_now_ns();

    if (!s->ending) {
        return -1;
    }
    if (now < s->until_ns) {
        uint64_t ms = (s->until_ns - now) / QE__MS + 1;

        return ms < 60000 ? (int) ms : 60000;
    }
    qe__child_signal(&s->child, SIGKILL);
    return 100; /* and again, for what it may have started meanwhile */
}

/* Until it has ended, whatever its streams do. */
static void await(spawner *s)
{
    for (;;) {
        struct pollfd p[4] = {
            {.fd = s->signals, .events = POLLIN},
            {.fd = s->child.streams[0], .events = POLLIN},
            {.fd = s->child.streams[1], .events = POLLIN},
            {.fd = s->child.server, .events = POLLIN},
        };

        if (poll(p, 4, wait_ms(s)) < 0 && errno != EINTR) {
            /* Such as by a limit of descriptors below three: all are looked
             * at now and then, as none of them blocks. */
            rest(POLL_FAILED_NS);
            p[0].revents = p[1].revents = p[2].revents = p[3].revents = POLLIN;
        }
        for (int i = 0; i < 2; i++) {
            if (p[i + 1].revents != 0) {
                qe__child_read(&s->child, i, &s->output[i]);
            }
        }
        if (p[0].revents != 0) {
            take_signals(s);
        }
        if ((p[0].revents != 0 || p[3].revents != 0) &&
            qe__child_ended(&s->child)) {
            return;
        }
    }
}

/* What the worker says of an end: the text of both streams. */
static int tell(spawner *s, qe__ending *end)
{
    size_t out = qe__excerpt_size(&s->output[0]);
    size_t err = qe__excerpt_size(&s->output[1]);

    free(s->text);
    s->text = malloc(out + err + 1);
    if (s->text == NULL) {
        return QE_ENOMEM;
    }
    qe__excerpt_copy(&s->output[0], s->text);
    qe__excerpt_copy(&s->output[1], s->text + out);
    end->stdout_bytes = (uint32_t) out;
    end->data = s->text;
    end->size = out + err;
    return qe__worker_end(s->worker, end);
}

/* Where the system has no room for another process or descriptor, it may have
 * soon. */
static int start(spawner *s, const qe__command *command)
{
    qe__child_words words = {&s->slot->group, &s->slot->refusal};
    int status;

    for (int i = 0;; i++) {
        status = qe__child_start(&s->child, command, &words, &s->mask);
        if (status == 0 || i == REFUSED_MAX || stopping(s) || timed_out(s) ||
            (errno != EAGAIN && errno != ENOMEM && errno != EMFILE &&
             errno != ENFILE)) {
            return status;
        }
        rest(REFUSED_NS);
    }
}

static enum qe_outcome outcome_of(int status)
{
    if (WIFSIGNALED(status)) {
        return QE_CRASHED;
    }
    return WEXITSTATUS(status) == 0 ? QE_PASSED : QE_FAILED;
}

/* From its start to its end; false where it was not executed. */
static bool execute(spawner *s, const qe__command *command, qe__ending *end)
{
    qe__excerpt_clear(&s->output[0]);
    qe__excerpt_clear(&s->output[1]);
    if (start(s, command) != 0) {
        qe__child_refused(&s->output[1], "start", command->argv[0], errno);
        return false;
    }
    await(s);
    return qe__child_reap(&s->child, s->output, &end->status, &end->usage);
}

static int run(spawner *s, uint32_t unit)
{
    const qe__command *command = qe__plan_command(s->super->plan, unit);
    qe__ending end = {.outcome = QE_ERROR};
    bool executed;

    s->ending = false;
    s->child.cold = s->child.lost = false;
    executed = execute(s, command, &end);
    if (s->child.lost && !s->ending && !stopping(s) && !timed_out(s)) {
        /* Through no fault of its own: once more, without a server. */
        s->child.cold = true;
        executed = execute(s, command, &end);
    }
    if (executed) {
        end.outcome = outcome_of(end.status);
    }
    atomic_store(&s->slot->turn, 0);
    /* The supervisor sees by this that the command it asked to end is gone. */
    if (atomic_exchange(&s->slot->deadline_ns, 0) == QE__DEADLINE_KILLED &&
        executed) {
        end.outcome = QE_TIMEOUT;
    }
    if (!executed) {
        end.status = 0;
    }
    return tell(s, &end);
}

_Noreturn void qe__spawn_work(const qe__super *super, uint32_t slot)
{
    size_t bound = super->options->output_bytes != 0
                       ? super->options->output_bytes
                       : OUTPUT_BYTES;
    spawner s;
    qe_claim claim;

    memset(&s, 0, sizeof(s));
    s.super = super;
    s.slot = &super->arena->slots[slot];
    settle_descriptors();
    settle_signals(&s);
    if (s.signals < 0 || qe__excerpt_init(&s.output[0], bound) != 0 ||
        qe__excerpt_init(&s.output[1], bound) != 0 ||
        qe__worker_new(&s.worker, super->arena, slot, &super->files[slot],
                       super->bell) != 0) {
        _exit(1);
    }
    while (qe_worker_claim(s.worker, true, &claim) == 1) {
        await_turn(&s);
        if (qe_worker_start(s.worker, &claim) != 0) {
            break; /* all is to stop */
        }
        (void) qe_worker_phase(s.worker, QE_PHASE_SETUP);
        (void) qe_worker_phase(s.worker, QE_PHASE_CALL);
        if (run(&s, claim.unit) != 0) {
            _exit(1); /* which is told as its loss */
        }
    }
    (void) qe_worker_bye(s.worker);
    _exit(0);
}
