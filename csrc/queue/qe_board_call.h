/* A call of the board: words that go out, and what comes back, checked. Internal to qe_board*.c. */
#ifndef QE_BOARD_CALL_H
#define QE_BOARD_CALL_H

#include "qe_board.h"

enum {
    BOARD_PLAN,
    BOARD_WORK,
    BOARD_NODES,
    BOARD_OUT,
    BOARD_TRIES,
    BOARD_IDS,
    BOARD_SERIAL,
    BOARD_AGAIN,
    BOARD_REWORK,
    BOARD_KEYS
};

#define BOARD_NUMBER 24u /* bytes of a number as text */

struct qe__board {
    qe__redis *redis;
    uint64_t timeout_ns;
    char *keys[BOARD_KEYS];
    char node[QE__NODE_NAME];
    char workers[BOARD_NUMBER], lease[BOARD_NUMBER], kept[BOARD_NUMBER];
    uint64_t born;    /* the run that we came to; 0: to none yet */
    uint32_t waiting; /* as last said */
    char text[QE__REDIS_TEXT];
    /* The call that is being made: words, of which `owned` are ours to free. */
    const char **words;
    size_t *sizes;
    char **owned;
    size_t count, capacity, sized, owned_count, owned_capacity;
};

int qe__board_fail(qe__board *b, int code, const char *text);
void qe__board_forget(qe__board *b);
/* The words that every script is called with; its own follow. False where there is no memory. */
bool qe__board_begin(qe__board *b);
bool qe__board_add(qe__board *b, const char *word);
bool qe__board_add_bytes(qe__board *b, const void *bytes, size_t size);
bool qe__board_add_number(qe__board *b, uint64_t number);
/* Makes a call that is no script's. */
int qe__board_ask(qe__board *b, redisReply **out);
/* Calls a script; the reply's second part is its own. QE_ENOTFOUND: the server has no such run. */
int qe__board_call(qe__board *b, const char *script, qe__board_news *news,
                   redisReply **out);
/* One whose own part is a number. */
int qe__board_call_number(qe__board *b, const char *script,
                          qe__board_news *news, uint64_t *out);
/* One that answers with `n` numbers up to `most`. */
int qe__board_call_numbers(qe__board *b, const char *script, uint32_t n,
                           uint64_t most, qe__board_news *news,
                           redisReply **out);
bool qe__board_number(const redisReply *reply, uint64_t most, uint64_t *out);
/* Frees the reply: it is not what a server of ours would answer with. */
int qe__board_odd(qe__board *b, redisReply *reply);

#endif
