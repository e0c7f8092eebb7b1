/*
 * What a run tells while it goes on, for those who look at it from another process.
 * Part of qe.h, which includes it.
 */
#ifndef QE_LIVE_H
#define QE_LIVE_H

#ifdef __cplusplus
extern "C" {
#endif

/* From now on the file `live/<pid>-<n>.json` in `folder` (a project's .qe) says what the
 * run is doing: twice a second, by rename, from the first half second on. It goes with
 * qe_session_close; one whose process is gone tells of a run that was killed, and goes
 * after a day with the next that is made. Where it cannot be written the run goes on
 * without it.
 *
 * `about_json` is a JSON object of the host's, set as "about". `names` are those of items
 * (qe_unit.item), n of them, copied; an item past their end has its unit's id. The rest
 * of it (seconds; since the epoch where they end in "at"):
 *
 *   version 1; pid, pid_start (field 22 of /proc/<pid>/stat) and boot: which process it is
 *   started_at, told_at; workers; done, all: as of qe_session_progress
 *   outcomes: units by the name of their outcome; left_s: until the end, as far as is
 *   known from the units' expected time, otherwise null
 *   running: at most 64 attempts, longest first: id, worker, pid, pass, attempt, phase
 *   ("setup", "call", "teardown", "start"), seconds, expected_s (null: unknown)
 *
 * QE_EINVAL if about_json is no JSON object, QE_ESTATE the second time, QE_ENOMEM. */
QE_API int qe_session_publish(qe_session *s, const char *folder,
                              const char *about_json, const char *const *names,
                              size_t n);

#ifdef __cplusplus
}
#endif

#endif
