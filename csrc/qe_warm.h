/*
 * Commands that a server starts in a fork of itself: one that has imported what each of
 * them would. Internal.
 *
 * What is said on a connection, one for each command:
 *   - we:     "QE1 <bytes>\n" with the descriptors of both streams, then so many bytes:
 *             words, a NUL behind each: how many arguments and variables follow, the
 *             limits (memory, processor time, descriptors; 0: none), the working folder,
 *             the arguments, the environment ("NAME=value")
 *   - server: "P <pid>\n" when it runs, leader of a group of its own; or "R <why>\n"
 *   - server: "E\n" when it has ended, not reaped yet
 *   - we:     "A\n", when nothing of its group is wanted any more
 *   - server: "S <wait status> <processor time in us> <peak in KiB>\n"
 * If we go away, it kills the group. If it goes away, its commands go with it.
 */
#ifndef QE_WARM_H
#define QE_WARM_H

#include "qe_command.h"
#include "qe_proc.h"

/* Has the command started: its pid, and *out, the connection. 0: the server is not
 * there, or will not; nothing has started then. */
pid_t qe__warm_start(int *out, const qe__command *command, char *const *env,
                     const int writes[2]);
/* Whether it has ended, or the server is gone, and the command with it. */
bool qe__warm_ended(int server);
/* Has it reaped. False, with the status of SIGKILL, where the server is gone, and took
 * the command with it, or does not say what became of it. */
bool qe__warm_reap(int server, int *status, qe__usage *usage);

#endif
