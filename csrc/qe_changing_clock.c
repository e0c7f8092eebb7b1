/*
 * A wall clock of this process's own. A library that is preloaded would do it, but not
 * for a process that was forked and not executed. So the entries by which loaded
 * objects call the C library's clocks are exchanged: each object has a table of them
 * (ELF's relocations by symbol), which the dynamic linker has filled. What asks the
 * kernel by itself, or looks the functions up by name, still sees the true time.
 *
 * Our own object is left out, so that our records of when a test began stay true.
 */
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "qe_changing.h"
#include "qe_util.h"

#if defined(__x86_64__)
#define IS_ENTRY(type)                                                         \
    ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT ||            \
     (type) == R_X86_64_64)
#elif defined(__aarch64__)
#define IS_ENTRY(type)                                                         \
    ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT ||          \
     (type) == R_AARCH64_ABS64)
#else
#define IS_ENTRY(type) false /* then nothing is found, and CLOCK is refused */
#endif

/* What is exchanged is this process's, so is how far it is ahead. */
static _Atomic int64_t ahead_ns;
static unsigned long long seen; /* objects ever loaded, at the last look */

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t) t->tv_sec * 1000000000 + t->tv_nsec;
}

static struct timespec of_ns(int64_t ns)
{
    struct timespec t = {(time_t) (ns / 1000000000), (long) (ns % 1000000000)};

    if (t.tv_nsec < 0) {
        t.tv_nsec += 1000000000;
        t.tv_sec--;
    }
    return t;
}

static int our_clock_gettime(clockid_t id, struct timespec *out)
{
    int status = clock_gettime(id, out);

    if (status == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        *out = of_ns(ns_of(out) + atomic_load(&ahead_ns));
    }
    return status;
}

/* From nanoseconds: the true time cut to microseconds could be before the moment at
 * which the clock was set, and what is seen then before the time it was set to. */
static int our_gettimeofday(struct timeval *out, void *zone)
{
    int status = gettimeofday(out, zone);
    struct timespec t;

    if (status == 0 && out != NULL) {
        (void) our_clock_gettime(CLOCK_REALTIME, &t);
        out->tv_sec = t.tv_sec;
        out->tv_usec = (suseconds_t) (t.tv_nsec / 1000);
    }
    return status;
}

static time_t our_time(time_t *out)
{
    struct timespec t;

    (void) our_clock_gettime(CLOCK_REALTIME, &t);
    if (out != NULL) {
        *out = t.tv_sec;
    }
    return t.tv_sec;
}

static int our_timespec_get(struct timespec *out, int base)
{
    return base == TIME_UTC && our_clock_gettime(CLOCK_REALTIME, out) == 0
               ? base
               : timespec_get(out, base);
}

/* A time by our clock as the kernel's; one of the monotonic clock, which a condition
 * may have, is nearer to that, and stays. */
static struct timespec true_time(const struct timespec *t)
{
    int64_t ns = ns_of(t), ahead = atomic_load(&ahead_ns);
    struct timespec real, monotonic;
    int64_t from_real, from_monotonic;

    (void) clock_gettime(CLOCK_REALTIME, &real);
    (void) clock_gettime(CLOCK_MONOTONIC, &monotonic);
    from_real = ns - (ns_of(&real) + ahead);
    from_monotonic = ns - ns_of(&monotonic);
    return llabs(from_real) < llabs(from_monotonic) ? of_ns(ns - ahead) : *t;
}

static int our_sem_timedwait(sem_t *sem, const struct timespec *until)
{
    struct timespec t = true_time(until);

    return sem_timedwait(sem, &t);
}

static int our_pthread_cond_timedwait(pthread_cond_t *condition,
                                      pthread_mutex_t *mutex,
                                      const struct timespec *until)
{
    struct timespec t = true_time(until);

    return pthread_cond_timedwait(condition, mutex, &t);
}

static int our_pthread_mutex_timedlock(pthread_mutex_t *mutex,
                                       const struct timespec *until)
{
    struct timespec t = true_time(until);

    return pthread_mutex_timedlock(mutex, &t);
}

static const struct {
    const char *name;
    void (*ours)(void);
} functions[] = {
#define OURS(f) (void (*)(void)) our_##f
    {"clock_gettime", OURS(clock_gettime)},
    {"__clock_gettime", OURS(clock_gettime)},
    {"gettimeofday", OURS(gettimeofday)},
    {"__gettimeofday", OURS(gettimeofday)},
    {"time", OURS(time)},
    {"timespec_get", OURS(timespec_get)},
    /* Waits until a time that one of these told. */
    {"sem_timedwait", OURS(sem_timedwait)},
    {"pthread_cond_timedwait", OURS(pthread_cond_timedwait)},
    {"pthread_mutex_timedlock", OURS(pthread_mutex_timedlock)},
};

/* What was found in all objects. */
typedef struct search {
    unsigned long long loaded;
    size_t exchanged;
    bool refused;
} search;

/* The parts of an object that are read. */
typedef struct object {
    ElfW(Addr) base;
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Rela) * tables[2];
    size_t sizes[2];
    uintptr_t relro, relro_end; /* read-only again since it was linked */
} object;

/* glibc has made addresses of them, other C libraries leave offsets. */
static const void *address(const object *o, ElfW(Addr) p)
{
    return (const void *) (p < o->base ? o->base + p : p);
}

static bool exchange(const object *o, void **entry, void (*ours)(void))
{
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t) entry / page * page;
    bool locked = at >= o->relro && at < o->relro_end;
    void *address;

    if (*entry == (void *) ours) {
        return true;
    }
    if (locked && mprotect((void *) at, page, PROT_READ | PROT_WRITE) != 0) {
        return false;
    }
    address = (void *) ours;
    __atomic_store(entry, &address, __ATOMIC_RELEASE);
    if (locked) {
        (void) mprotect((void *) at, page, PROT_READ);
    }
    return true;
}

static void look_at_table(const object *o, int table, search *found)
{
    size_t n = o->sizes[table] / sizeof(ElfW(Rela));

    for (size_t i = 0; i < n; i++) {
        const ElfW(Rela) *r = &o->tables[table][i];
        const ElfW(Sym) *symbol = &o->symbols[ELF64_R_SYM(r->r_info)];
        const char *name = o->strings + symbol->st_name;

        if (!IS_ENTRY(ELF64_R_TYPE(r->r_info)) || ELF64_R_SYM(r->r_info) == 0 ||
            r->r_addend != 0) {
            continue;
        }
        for (size_t f = 0; f < QE__COUNT(functions); f++) {
            if (strcmp(name, functions[f].name) == 0) {
                if (exchange(o, (void **) (o->base + r->r_offset),
                             functions[f].ours)) {
                    found->exchanged++;
                } else {
                    found->refused = true;
                }
            }
        }
    }
}

static object read_object(const struct dl_phdr_info *info,
                          const ElfW(Dyn) * dynamic)
{
    object o = {.base = info->dlpi_addr};

    for (const ElfW(Dyn) *d = dynamic; d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_SYMTAB:
            o.symbols = address(&o, d->d_un.d_ptr);
            break;
        case DT_STRTAB:
            o.strings = address(&o, d->d_un.d_ptr);
            break;
        case DT_JMPREL:
            o.tables[0] = address(&o, d->d_un.d_ptr);
            break;
        case DT_PLTRELSZ:
            o.sizes[0] = d->d_un.d_val;
            break;
        case DT_RELA:
            o.tables[1] = address(&o, d->d_un.d_ptr);
            break;
        case DT_RELASZ:
            o.sizes[1] = d->d_un.d_val;
            break;
        default:
            break;
        }
    }
    return o;
}

static bool is_ours(const struct dl_phdr_info *info)
{
    uintptr_t code = (uintptr_t) &our_clock_gettime;

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + p->p_vaddr;

        if (p->p_type == PT_LOAD && code >= begin &&
            code < begin + p->p_memsz) {
            return true;
        }
    }
    return false;
}

static int look_at_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    search *found = arg;
    const ElfW(Dyn) *dynamic = NULL;
    const ElfW(Phdr) *relro = NULL;
    object o;

    (void) size;
    found->loaded = info->dlpi_adds;
    if (info->dlpi_adds == seen) {
        return 1; /* nothing was loaded since */
    }
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_DYNAMIC) {
            dynamic = (const void *) (info->dlpi_addr + p->p_vaddr);
        } else if (p->p_type == PT_GNU_RELRO) {
            relro = p;
        }
    }
    if (dynamic == NULL || is_ours(info)) {
        return 0;
    }
    o = read_object(info, dynamic);
    if (relro != NULL) {
        /* As the dynamic linker rounds: what is in a page that ends elsewhere was
         * left writable. */
        uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);

        o.relro = (o.base + relro->p_vaddr) / page * page;
        o.relro_end = (o.base + relro->p_vaddr + relro->p_memsz) / page * page;
    }
    for (int t = 0; t < 2 && o.symbols != NULL && o.strings != NULL; t++) {
        if (o.tables[t] != NULL) {
            look_at_table(&o, t, found);
        }
    }
    return 0;
}

static search look(void)
{
    search found = {0};

    (void) dl_iterate_phdr(look_at_object, &found);
    seen = found.loaded;
    return found;
}

uint32_t qe__changing_clock(void)
{
    search found = look();

    return found.exchanged == 0 || found.refused ? QE_CLOCK : 0;
}

void qe__changing_set_clock(double clock_s)
{
    struct timespec now;

    (void) look();
    (void) clock_gettime(CLOCK_REALTIME, &now);
    atomic_store(&ahead_ns, (int64_t) (clock_s * 1e9) - ns_of(&now));
}

double qe__changing_ahead_s(void)
{
    return (double) atomic_load(&ahead_ns) / 1e9;
}
