/*
 * Runs of a Python script by a warm server, in a session among real processes: what
 * both tests of warm servers share.
 */
#ifndef WARM_WORLD_H
#define WARM_WORLD_H

#include "session_world.h"

#define WARM_KEPT 4096

/* The last end of each unit. */
extern struct warm_end {
    enum qe_outcome outcome;
    int status;
    double cpu_s;
    uint64_t peak_bytes;
    char out[WARM_KEPT], err[WARM_KEPT];
} ends[512];

/* Of the test, and the script in it, which is no program. */
extern char folder[64], script[96];
/* The server: its process, the end of its standard input, its address. */
extern pid_t server;
extern int holds;
extern char name[128];

int warm_setup(void **state);
int warm_teardown(void **state);
/* A Python to run servers by. */
const char *warm_python(void);
/* Starts `argv` as the server; its first line is its name. */
void warm_serve_by(char *const *argv);
/* Starts the real one, for a script of this source. */
void warm_serve(const char *source);
void warm_end_server(void);
/* A run of the script, with one argument. */
uint32_t warm_add(struct world *w, const char *word, qe_unit unit);
/* All of them; no worker is lost. */
void warm_run(struct world *w);
/* Whether the server ran it. */
bool warm_was(uint32_t unit);
/* What a script wrote to a file of the folder, once that is there; 0 before. */
int warm_read_number(const char *file);
/* How many entries a directory of /proc/PID has. */
size_t warm_entries_of(pid_t pid, const char *what);
/* Whether the server has a child that is a command's: all but the fork that it keeps in
 * advance, which stays in its own process group. */
bool warm_serves(pid_t pid);

/* A script that leaves "near" in its group, "away" in none, and says who is who in
 * files of these names; it ends, or "stays". */
extern const char warm_leaves_some[];

#endif
