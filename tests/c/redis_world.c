#include "redis_world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#define PATIENCE_NS UINT64_C(60000000000)

int redis_setup(void **state)
{
    struct redis_world *w = calloc(1, sizeof(*w));
    void *made;

    if (w == NULL || scratch_setup(&made) != 0)
        return -1;
    w->scratch = made;
    *state = w;
    return 0;
}

void redis_kill(struct redis_world *w)
{
    if (w->pid > 0) {
        (void) kill(w->pid, SIGKILL);
        (void) scratch_wait(w->pid);
        w->pid = 0;
    }
}

int redis_teardown(void **state)
{
    struct redis_world *w = *state;
    void *made = w->scratch;

    redis_kill(w);
    scratch_teardown(&made);
    free(w);
    return 0;
}

/* One that nobody has right now. */
static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) &a, &n), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static pid_t spawn(const struct redis_world *w, const char *const *argv)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        int log;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || chdir(w->scratch->dir) != 0)
            _exit(127);
        log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void) dup2(log, 1);
        (void) dup2(log, 2);
        execvp(argv[0], (char *const *) argv);
        _exit(127);
    }
    return pid;
}

static void make_certificate(struct redis_world *w)
{
    static const char *const argv[] = {"openssl",
                                       "req",
                                       "-x509",
                                       "-newkey",
                                       "ec",
                                       "-pkeyopt",
                                       "ec_paramgen_curve:prime256v1",
                                       "-nodes",
                                       "-days",
                                       "2",
                                       "-subj",
                                       "/CN=localhost",
                                       "-addext",
                                       "subjectAltName=DNS:localhost",
                                       "-keyout",
                                       "key.pem",
                                       "-out",
                                       "cert.pem",
                                       NULL};

    snprintf(w->ca, sizeof(w->ca), "%s/cert.pem", w->scratch->dir);
    if (!scratch_exists(w->ca))
        assert_int_equal(scratch_wait(spawn(w, argv)), 0);
}

static bool answers(struct redis_world *w)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good;

    a.sin_port = htons((uint16_t) (w->port != 0 ? w->port : w->tls_port));
    good = connect(fd, (struct sockaddr *) &a, sizeof(a)) == 0;
    close(fd);
    return good;
}

void redis_start(struct redis_world *w)
{
    char port[16], tls_port[16];
    const char *argv[48] = {"redis-server", "--bind", "127.0.0.1", "--port",
                            port};
    int n = 5;
    uint64_t until;

    if (!w->only_tls && w->port == 0)
        w->port = free_port();
    if ((w->with_tls || w->only_tls) && w->tls_port == 0)
        w->tls_port = free_port();
    snprintf(port, sizeof(port), "%d", w->port);
    snprintf(tls_port, sizeof(tls_port), "%d", w->tls_port);
    if (w->tls_port != 0) {
        const char *const tls[] = {
            "--tls-port",         tls_port,  "--tls-cert-file",    "cert.pem",
            "--tls-key-file",     "key.pem", "--tls-ca-cert-file", "cert.pem",
            "--tls-auth-clients", "no"};

        make_certificate(w);
        for (size_t i = 0; i < sizeof(tls) / sizeof(tls[0]); i++)
            argv[n++] = tls[i];
    }
    if (w->password != NULL) {
        argv[n++] = "--requirepass";
        argv[n++] = w->password;
    }
    for (size_t i = 0; w->more[i] != NULL; i++)
        argv[n++] = w->more[i];
    w->pid = spawn(w, argv);
    until = qe_now_ns() + PATIENCE_NS;
    while (!answers(w)) {
        struct timespec t = {0, 5000000};

        assert_true(qe_now_ns() < until);
        assert_int_equal(waitpid(w->pid, NULL, WNOHANG), 0);
        nanosleep(&t, NULL);
    }
}

void redis_start_lasting(struct redis_world *server)
{
    static const char *const options[] = {"--appendonly", "yes",
                                          "--appendfsync", "always"};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        server->more[i] = options[i];
    redis_start(server);
}

const char *redis_url(const struct redis_world *w, bool tls, const char *user)
{
    static _Thread_local char url[512];

    snprintf(url, sizeof(url), "%s://%s%s:%d", tls ? "rediss" : "redis", user,
             tls ? "localhost" : "127.0.0.1", tls ? w->tls_port : w->port);
    return url;
}

int redis_open(const struct redis_world *w, const char *url, qe__redis **out,
               char *text)
{
    qe__redis_address address;

    assert_int_equal(qe__redis_parse(url, &address, text), 0);
    address.ca_file = w->ca[0] != '\0' ? w->ca : NULL;
    return qe__redis_open(out, &address, PATIENCE_NS, text);
}

qe__reader *redis_reader(const struct redis_world *w, const char *project)
{
    qe__redis_address address;
    qe__reader *r;
    char text[QE__READER_TEXT];

    assert_int_equal(qe__redis_parse(redis_url(w, false, ""), &address, text),
                     0);
    assert_int_equal(qe__reader_open(&r, &address, "qe", project,
                                     UINT64_C(60000000000), text),
                     0);
    return r;
}
