/* What happens on the server, in its own language: what all scripts begin with, and those about the
 * plan; what is claimed and told is in qe_board_work.h. Each answers with news() first. Arguments are
 * checked by who calls; what comes back is checked there, too. Internal to qe_board*.c. */
#ifndef QE_BOARD_SCRIPTS_H
#define QE_BOARD_SCRIPTS_H

#include "qe_board.h"

/* KEYS: plan, work, nodes, out, tries, ids, serial, again, rework. ARGV: node, its workers, how many of
 * these wait, lease (ms), kept (s), which run of this name it is (0: any), then the script's own. An entry
 * of a stream has u (first unit), n (how many), a (attempt), x (not on this node), e (expected ns), s (1:
 * alone), in this order, and no more units than QE__ENTRY_UNITS; nodes know those of `rework` by their names with an r before. */
#define BOARD_TEXT(n) BOARD_TEXT_OF(n)
#define BOARD_TEXT_OF(n) #n

#define BOARD_HEAD                                                             \
    "local plan, work, nodes, out, tries, ids, serial, again, rework =\n"      \
    "  unpack(KEYS)\n"                                                         \
    "local node, lease = ARGV[1], tonumber(ARGV[4])\n"                         \
    "local born = table.remove(ARGV, 6)\n"                                     \
    "local call = redis.call\n"                                                \
    "local time = call('TIME')\n"                                              \
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                \
    "local function text(n) return string.format('%.0f', n) end\n"             \
    "local function get(field) return call('HGET', plan, field) end\n"         \
    "local function set(...) return call('HSET', plan, ...) end\n"             \
    "local function state() return get('state') end\n"                         \
    "local function come()\n"                                                  \
    "  call('HSET', nodes, node,\n"                                            \
    "    text(now) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])\n"                     \
    "end\n"                                                                    \
    "local seen\n"                                                             \
    "local function alive()\n"                                                 \
    "  if seen then return unpack(seen) end\n"                                 \
    "  local workers, waiting, others = 0, 0, 0\n"                             \
    "  local all = call('HGETALL', nodes)\n"                                   \
    "  for i = 2, #all, 2 do\n"                                                \
    "    local at, w, x = string.match(all[i], '^(%d+) (%d+) (%d+)$')\n"       \
    "    if at and now - at <= lease then\n"                                   \
    "      workers, waiting = workers + w, waiting + x\n"                      \
    "      if all[i - 1] ~= node then others = others + 1 end\n"               \
    "    end\n"                                                                \
    "  end\n"                                                                  \
    "  seen = {workers, waiting, others}\n"                                    \
    "  return workers, waiting, others\n"                                      \
    "end\n"                                                                    \
    "local function open()\n"                                                  \
    "  if call('EXISTS', work) == 0 then return 0 end\n"                       \
    "  return call('XLEN', work) - call('XPENDING', work, 'q')[1] +\n"         \
    "    call('LLEN', again)\n"                                                \
    "end\n"                                                                    \
    "local names = {laying = 1, open = 2, stopped = 3, over = 4}\n"            \
    "local function news()\n"                                                  \
    "  for _, key in ipairs(KEYS) do call('EXPIRE', key, ARGV[5]) end\n"       \
    "  local workers, waiting = alive()\n"                                     \
    "  return {names[state() or ''] or 0, tonumber(get('left') or 0),\n"       \
    "    open(), workers, waiting}\n"                                          \
    "end\n"                                                                    \
    "local function place(id)\n"                                               \
    "  if string.sub(id, 1, 1) == 'r' then\n"                                  \
    "    return rework, string.sub(id, 2)\n"                                   \
    "  end\n"                                                                  \
    "  return work, id\n"                                                      \
    "end\n"                                                                    \
    "local function owns(id)\n"                                                \
    "  local key, at = place(id)\n"                                            \
    "  local found = call('XPENDING', key, 'q', at, at, 1)\n"                  \
    "  return #found == 1 and found[1][2] == node\n"                           \
    "end\n"                                                                    \
    "local function size(f)\n"                                                 \
    "  local n = tonumber(f[4])\n"                                             \
    "  assert(n and n >= 1 and n <= " BOARD_TEXT(                              \
        QE__ENTRY_UNITS) ",\n"                                                 \
                         "    'an entry has no such number of tests')\n"       \
                         "  return n\n"                                        \
                         "end\n"                                               \
                         "local function fields(id)\n"                         \
                         "  local key, at = place(id)\n"                       \
                         "  local f = call('XRANGE', key, at, at)[1][2]\n"     \
                         "  size(f)\n"                                         \
                         "  return f\n"                                        \
                         "end\n"                                               \
                         "local function drop(id)\n"                           \
                         "  local key, at = place(id)\n"                       \
                         "  call('XACK', key, 'q', at)\n"                      \
                         "  call('XDEL', key, at)\n"                           \
                         "  call('HDEL', plan, 'cut:' .. id)\n"                \
                         "end\n"                                               \
                         "local function put(u, n, a, x, e, s)\n"              \
                         "  if s == '1' or tonumber(a) > 1 then\n"             \
                         "    call('RPUSH', s == '1' and serial or again, u "  \
                         ".. ' ' .. n ..\n"                                    \
                         "      ' ' .. a .. ' ' .. e .. ' ' .. x)\n"           \
                         "  else\n"                                            \
                         "    call('XADD', work, '*', 'u', u, 'n', n, 'a', "   \
                         "a, 'x', x, 'e', e,\n"                                \
                         "      's', s)\n"                                     \
                         "  end\n"                                             \
                         "end\n"

/* What a run that is there begins with: without one, the state says so; another run of the same name,
 * laid since, is none of the node's. */
#define BOARD_HERE                                                             \
    "if not state() or (born ~= '0' and get('born') ~= born) then\n"           \
    "  return {{0, 0, 0, 0, 0}, 0}\n"                                          \
    "end\n"                                                                    \
    "come()\n"

/* Of one that is being laid, perhaps by another by now. */
#define BOARD_OURS                                                             \
    "if not state() then return {news(), 0} end\n"                             \
    "come()\n"                                                                 \
    "if state() ~= 'laying' or get('by') ~= node then\n"                       \
    "  return {news(), 0}\n"                                                   \
    "end\n"

/* ARGV: digest, count. Answers with 1: we are to lay it; 2: it is another plan; 0; with the lease of
 * the run, which is its first node's; and with when it was born, which no other run of its name has. Asks first whether
 * the server has what Redis 6.2 has, before anything of the run is there; a full one refuses only the
 * first that a script would write, so that is not what makes room. */
static const char board_join[] = BOARD_HEAD
    "local known = call('HMGET', plan, 'state', 'digest', 'count', 'at')\n"
    "if not known[1] or (known[1] == 'laying' and\n"
    "  (now - known[4] > lease or get('by') == node)) then\n"
    "  come()\n"
    "  call('EXPIRE', nodes, ARGV[5])\n"
    "  local able = redis.pcall('XAUTOCLAIM', work, 'q', node, 1, '0-0')\n"
    "  if able.err and string.find(able.err, 'nknown') then\n"
    "    return able\n"
    "  end\n"
    "  call('DEL', plan, work, out, tries, ids, serial, again, rework)\n"
    "  call('XGROUP', 'CREATE', work, 'q', '0', 'MKSTREAM')\n"
    "  call('XGROUP', 'CREATE', rework, 'q', '0', 'MKSTREAM')\n"
    "  set('state', 'laying', 'digest', ARGV[6], 'count', ARGV[7],\n"
    "    'at', text(now), 'by', node, 'left', ARGV[7], 'lease', lease,\n"
    "    'born', text(now))\n"
    "  return {news(), {1, lease, now}}\n"
    "end\n"
    "if known[1] ~= 'laying' and\n"
    "  (known[2] ~= ARGV[6] or known[3] ~= ARGV[7]) then\n"
    "  return {news(), {2, lease, 0}}\n"
    "end\n"
    "come()\n"
    "return {news(), {0, tonumber(get('lease') or lease),\n"
    "  tonumber(get('born') or 0)}}\n";

/* ARGV: how many ids, the ids, then of each entry first, count, expected ns and whether it is alone.
 * Answers with whether it is still ours to lay. */
static const char board_lay[] = BOARD_HEAD BOARD_OURS
    "set('at', text(now))\n"
    "local n = tonumber(ARGV[6])\n"
    "for i = 7, 6 + n do call('RPUSH', ids, ARGV[i]) end\n"
    "for i = 7 + n, #ARGV, 4 do\n"
    "  put(ARGV[i], ARGV[i + 1], 1, '', ARGV[i + 2], ARGV[i + 3])\n"
    "end\n"
    "return {news(), 1}\n";

/* ARGV: maxfail. */
static const char board_start[] = BOARD_HEAD BOARD_OURS
    "set('state', get('left') == '0' and 'over' or 'open',\n"
    "  'failures', 0, 'maxfail', ARGV[6])\n"
    "return {news(), 1}\n";

static const char board_stop[] = BOARD_HEAD BOARD_HERE
    "if state() == 'open' then set('state', 'stopped') end\n"
    "return {news(), 1}\n";

/* A plan that we have not laid is anybody's to lay. */
static const char board_leave[] = BOARD_HEAD BOARD_HERE
    "call('HDEL', nodes, node)\n"
    "if state() == 'laying' and get('by') == node then set('at', 0) end\n"
    "return {news(), 1}\n";

#endif
