/* Runs of a script by a warm server: what both tests of these share. */
#include "warm_world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

struct warm_end ends[512];

char folder[64], script[96];
/* The server: its process, the end of its standard input, its address. */
pid_t server;
int holds = -1;
char name[128];

static void keep(char *to, const char *from, size_t n)
{
    n = n < WARM_KEPT - 1 ? n : WARM_KEPT - 1;
    if (n > 0)
        memcpy(to, from, n);
    to[n] = '\0';
}

static void on_end(struct world *w, const qe_event *e)
{
    struct warm_end *end = &ends[e->unit < 512 ? e->unit : 0];

    (void) w;
    if (e->kind != QE_EV_FINISH)
        return;
    end->outcome = e->outcome;
    end->status = e->status;
    end->cpu_s = e->cpu_s;
    end->peak_bytes = e->peak_bytes;
    keep(end->out, e->data, e->stdout_bytes);
    keep(end->err, (const char *) e->data + e->stdout_bytes,
         e->data_size - e->stdout_bytes);
}

/* ------------------------------------------------------------------- servers */

const char *warm_python(void)
{
    const char *own = getenv("PYTHON");

    return own != NULL && own[0] != '\0' ? own : "python3";
}

/* Reads the first line: where it listens. */
static void read_name(int fd)
{
    size_t n = 0;

    while (n < sizeof(name) - 1 && read(fd, name + n, 1) == 1 &&
           name[n] != '\n')
        n++;
    name[n] = '\0';
    assert_true(n > 0);
}

/* Starts `argv` with a pipe as its standard input; its first line is its name. */
void warm_serve_by(char *const *argv)
{
    int in[2], out[2];

    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    server = fork();
    if (server == 0) {
        (void) dup2(in[0], 0);
        (void) dup2(out[1], 1);
        (void) execvp(argv[0], argv);
        _exit(127);
    }
    assert_true(server > 0);
    close(in[0]);
    close(out[1]);
    holds = in[1];
    read_name(out[0]);
    close(out[0]);
}

/* The real one, for a script of the test's own. Programs run where the
 * repository is. */
void warm_serve(const char *source)
{
    char *argv[] = {(char *) warm_python(), "python/pytest_qe/warmserver.py",
                    script, NULL};

    scratch_write(script, source, strlen(source));
    warm_serve_by(argv);
}

void warm_end_server(void)
{
    /* Sessions that are open have that pipe, too. */
    if (holds >= 0) {
        assert_true(write(holds, "\n", 1) == 1 || errno == EPIPE);
        close(holds);
    }
    holds = -1;
    if (server > 0)
        (void) scratch_wait(server);
    server = 0;
}

int warm_setup(void **state)
{
    struct world *w;

    if (world_setup(state) != 0)
        return -1;
    w = *state;
    w->options.start = QE_START_COMMAND;
    w->options.grace_ns = 200 * WORLD_MS;
    w->on_event = on_end;
    memset(ends, 0, sizeof(ends));
    snprintf(folder, sizeof(folder), "/tmp/qe-warm-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(script, sizeof(script), "%s/script.py", folder);
    return 0;
}

int warm_teardown(void **state)
{
    struct world *w = *state;
    char command[128];

    /* Not before the session: what runs is to end by itself, or with it. */
    if (w->session != NULL) {
        qe_session_close(w->session);
        w->session = NULL;
    }
    warm_end_server();
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return world_teardown(state) != 0 || system(command) != 0 ? -1 : 0;
}

/* A run of the script: by the server, where that will, else by itself. */
uint32_t warm_add(struct world *w, const char *word, qe_unit unit)
{
    char *argv[] = {script, (char *) word, NULL};
    char id[32];

    snprintf(id, sizeof(id), "command %u", w->units);
    unit.id = id;
    unit.item = w->units * 3;
    unit.argv = argv;
    unit.warm = name;
    assert_int_equal(qe_plan_add(w->plan, &unit), 0);
    return w->units++;
}

void warm_run(struct world *w)
{
    world_run(w);
    for (uint32_t u = 0; u < w->units; u++)
        assert_int_equal(w->unit[u].losses, 0);
}

/* The script is no program: a run without the server says so by its outcome. */
bool warm_was(uint32_t unit)
{
    return ends[unit].outcome != QE_ERROR;
}

int warm_read_number(const char *file)
{
    char path[128];
    FILE *f;
    int n = 0;

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%d\n", &n) != 1)
        n = 0;
    fclose(f);
    return n;
}

size_t warm_entries_of(pid_t pid, const char *what)
{
    char path[64];
    size_t n = 0;
    DIR *all;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, what);
    all = opendir(path);
    assert_non_null(all);
    while (readdir(all) != NULL)
        n++;
    closedir(all);
    return n - 2;
}

bool warm_serves(pid_t pid)
{
    char path[64];
    FILE *f;
    int child;
    bool some = false;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int) pid,
             (int) pid);
    f = fopen(path, "r");
    assert_non_null(f);
    while (fscanf(f, "%d", &child) == 1) {
        pid_t group = getpgid(child);

        some = some || (group > 0 && group != getpgid(pid));
    }
    fclose(f);
    return some;
}

const char warm_leaves_some[] =
    "import os, sys, time\n"
    "os.chdir(os.path.dirname(sys.argv[0]))\n"
    "def stay(name):\n"
    "    if os.fork() == 0:\n"
    "        if name == 'away': os.setsid()\n"
    "        with open('.' + name, 'w') as f: f.write('%d\\n' % os.getpid())\n"
    "        os.rename('.' + name, name)\n"
    "        time.sleep(1000)\n"
    "stay('near')\n"
    "stay('away')\n"
    "while not (os.path.exists('near') and os.path.exists('away')):\n"
    "    time.sleep(0.001)\n"
    "with open('.self', 'w') as f: f.write('%d\\n' % os.getpid())\n"
    "os.rename('.self', 'self')\n"
    "if sys.argv[1] == 'stays': time.sleep(1000)\n"
    "print('done')\n";
