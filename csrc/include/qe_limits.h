/*
 * What commands may use: each of their processes by itself, and all of them together
 * where the system lets them have a control group. Part of qe.h, which includes it.
 */
#ifndef QE_LIMITS_H
#define QE_LIMITS_H

#ifdef __cplusplus
extern "C" {
#endif

/* What each process of a command may use; 0: what the host may. More than the host may
 * is not given. */
typedef struct qe_limits {
    uint64_t memory_bytes; /* private writable memory (RLIMIT_DATA): beyond,
                                allocations fail */
    uint64_t cpu_s; /* processor time: then SIGXCPU, a second later SIGKILL */
    uint64_t files; /* open descriptors; at least 3 */
    const char
        *cgroup; /* qe_cgroup_procs of a group that it runs in; a warm server is
                           not asked then. NULL: that of the host */
} qe_limits;

/* A control group (version 2) that nothing else is in. It is made beside the host's own
 * group, as a group with processes can have none with limits below it; never where that
 * would be a way out of limits that the host has. The directory is locked while its
 * maker lives: what one that was killed has left behind is cleared by the next.
 * (Linux: Documentation/admin-guide/cgroup-v2.rst.) */
typedef struct qe_cgroup qe_cgroup;

typedef struct qe_cgroup_limits {
    uint64_t
        memory_bytes;   /* of all its processes, with no swap beyond; 0: any */
    uint32_t cpu_milli; /* thousandths of a processor, at least 10; 0: any */
} qe_cgroup_limits;

typedef struct qe_cgroup_end {
    uint64_t oom_kills;  /* processes killed for want of memory */
    uint64_t peak_bytes; /* the most memory that it had; 0: not known */
} qe_cgroup_end;

/* Makes one. QE_ESYS, with errno EOPNOTSUPP where the system has none of version 2 with
 * a controller for any of the limits, EACCES, EPERM or EROFS where it has, and this user
 * may not; QE_ENOMEM; QE_EINVAL for cpu_milli. */
QE_API int qe_cgroup_new(qe_cgroup **out, const qe_cgroup_limits *limits);
/* Whether the limit holds: there may be a controller for one of them alone. */
QE_API bool qe_cgroup_limits_memory(const qe_cgroup *group);
QE_API bool qe_cgroup_limits_cpu(const qe_cgroup *group);
/* The file that a process enters it by. */
QE_API const char *qe_cgroup_procs(const qe_cgroup *group);
/* Kills all that is in it, waits until it has gone (2 s at most), and removes it. `end`
 * may be NULL. */
QE_API void qe_cgroup_free(qe_cgroup *group, qe_cgroup_end *end);

/* Memory that this process may use: the machine's, or the least that a control group of
 * it (version 1 or 2) allows. 0: not known. */
QE_API uint64_t qe_memory_bytes(void);

#ifdef __cplusplus
}
#endif

#endif
