/* What happens on the server, in its own language; each begins with BOARD_HEAD, and answers with
 * news() first. Arguments are checked by who calls; what comes back is checked there, too.
 * Internal to qe_board.c. */
#ifndef QE_BOARD_SCRIPTS_H
#define QE_BOARD_SCRIPTS_H

/* KEYS: plan, work, nodes, out, tries, ids. ARGV: node, its workers, how many of these wait,
 * lease (ms), kept (s), then the script's own. */
#define BOARD_HEAD                                                             \
    "local plan, work, nodes, out, tries, ids = unpack(KEYS)\n"                \
    "local node, lease = ARGV[1], tonumber(ARGV[4])\n"                         \
    "local time = redis.call('TIME')\n"                                        \
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"                \
    "redis.call('HSET', nodes, node, string.format('%.0f', now) .. ' ' .. "    \
    "ARGV[2] .. ' ' .. ARGV[3])\n"                                             \
    "local function state() return redis.call('HGET', plan, 'state') end\n"    \
    "local function alive()\n"                                                 \
    "  local workers, waiting, others = 0, 0, 0\n"                             \
    "  local all = redis.call('HGETALL', nodes)\n"                             \
    "  for i = 2, #all, 2 do\n"                                                \
    "    local at, w, x = string.match(all[i], '^(%d+) (%d+) (%d+)$')\n"       \
    "    if at and now - at <= lease then\n"                                   \
    "      workers, waiting = workers + w, waiting + x\n"                      \
    "      if all[i - 1] ~= node then others = others + 1 end\n"               \
    "    end\n"                                                                \
    "  end\n"                                                                  \
    "  return workers, waiting, others\n"                                      \
    "end\n"                                                                    \
    "local names = {laying = 1, open = 2, stopped = 3, over = 4}\n"            \
    "local function news()\n"                                                  \
    "  for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[5]) end\n" \
    "  local workers, waiting = alive()\n"                                     \
    "  local open = 0\n"                                                       \
    "  if redis.call('EXISTS', work) == 1 then\n"                              \
    "    open = redis.call('XLEN', work) - "                                   \
    "redis.call('XPENDING', work, 'q')[1]\n"                                   \
    "  end\n"                                                                  \
    "  return {names[state() or ''] or 0,\n"                                   \
    "    tonumber(redis.call('HGET', plan, 'left') or 0), open, workers, "     \
    "waiting}\n"                                                               \
    "end\n"                                                                    \
    "local function owns(id)\n"                                                \
    "  local found = redis.call('XPENDING', work, 'q', id, id, 1)\n"           \
    "  return #found == 1 and found[1][2] == node\n"                           \
    "end\n"

/* ARGV: digest, count. Answers with whether we are to lay it. */
static const char board_join[] = BOARD_HEAD
    "local known = redis.call('HMGET', plan, 'state', 'digest', 'count', "
    "'at')\n"
    "if not known[1] or (known[1] == 'laying' and now - known[4] > lease) "
    "then\n"
    "  redis.call('DEL', work, out, tries, ids)\n"
    "  redis.call('XGROUP', 'CREATE', work, 'q', '0', 'MKSTREAM')\n"
    "  redis.call('HSET', plan, 'state', 'laying', 'digest', ARGV[6], 'count', "
    "ARGV[7],\n"
    "    'at', string.format('%.0f', now), 'by', node, 'left', ARGV[7])\n"
    "  return {news(), 1}\n"
    "end\n"
    "if known[2] ~= ARGV[6] or known[3] ~= ARGV[7] then return {news(), 2} "
    "end\n"
    "return {news(), 0}\n";

/* ARGV: how many ids, the ids, then of each entry first and count. Answers with whether it is
 * still ours to lay. */
static const char board_lay[] = BOARD_HEAD
    "if state() ~= 'laying' or redis.call('HGET', plan, 'by') ~= node then\n"
    "  return {news(), 0}\n"
    "end\n"
    "redis.call('HSET', plan, 'at', string.format('%.0f', now))\n"
    "local n = tonumber(ARGV[6])\n"
    "for i = 7, 6 + n do redis.call('RPUSH', ids, ARGV[i]) end\n"
    "for i = 7 + n, #ARGV, 2 do\n"
    "  redis.call('XADD', work, '*', 'u', ARGV[i], 'n', ARGV[i + 1], 'a', 1, "
    "'x', "
    "'')\n"
    "end\n"
    "return {news(), 1}\n";

/* ARGV: maxfail. */
static const char board_start[] = BOARD_HEAD
    "if state() ~= 'laying' or redis.call('HGET', plan, 'by') ~= node then\n"
    "  return {news(), 0}\n"
    "end\n"
    "local over = redis.call('HGET', plan, 'left') == '0'\n"
    "redis.call('HSET', plan, 'state', over and 'over' or 'open', 'failures', "
    "0,\n"
    "  'maxfail', ARGV[6])\n"
    "return {news(), 1}\n";

/* ARGV: how many. Answers with entries: name, first, count, attempt, not on. */
static const char board_claim[] = BOARD_HEAD
    "local want, found = tonumber(ARGV[6]), {}\n"
    "if state() ~= 'open' then return {news(), found} end\n"
    "local _, _, others = alive()\n"
    "local function take(entries)\n"
    "  for _, entry in ipairs(entries or {}) do\n"
    "    local id, f = entry[1], entry[2]\n"
    "    if f then\n"
    "      if f[8] == node and others > 0 then\n"
    "        redis.call('XADD', work, '*', unpack(f))\n"
    "        redis.call('XACK', work, 'q', id)\n"
    "        redis.call('XDEL', work, id)\n"
    "      else\n"
    "        local cut = redis.call('HGET', plan, 'cut:' .. id)\n"
    "        found[#found + 1] = {id, tonumber(f[2]), tonumber(cut or f[4]),\n"
    "          tonumber(f[6]), f[8]}\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "take(redis.call('XAUTOCLAIM', work, 'q', node, lease, '0-0', 'COUNT', "
    "want)[2])\n"
    "if #found < want then\n"
    "  local read = redis.call('XREADGROUP', 'GROUP', 'q', node, 'COUNT', want "
    "- "
    "#found,\n"
    "    'STREAMS', work, '>')\n"
    "  take(read and read[1][2])\n"
    "end\n"
    "return {news(), found}\n";

/* ARGV: names of entries. Answers with whether each is ours. */
static const char board_beat[] = BOARD_HEAD
    "local ours = {}\n"
    "for i = 6, #ARGV do\n"
    "  ours[i - 5] = 0\n"
    "  if owns(ARGV[i]) then\n"
    "    ours[i - 5] = 1\n"
    "    redis.call('XCLAIM', work, 'q', node, 0, ARGV[i], 'JUSTID')\n"
    "  end\n"
    "end\n"
    "return {news(), ours}\n";

/* ARGV: the entry's name, whether it is finished, then of each attempt unit, attempt, outcome,
 * whether it failed, payload. Answers with whether each counted. */
static const char board_tell[] = BOARD_HEAD
    "local id, ours, counted = ARGV[6], owns(ARGV[6]), {}\n"
    "for i = 8, #ARGV, 5 do\n"
    "  local unit, attempt, outcome = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + "
    "2]\n"
    "  redis.call('XADD', tries, '*', 'u', unit, 'a', attempt, 'o', outcome, "
    "'n', "
    "node,\n"
    "    'late', ours and 0 or 1, 'p', ARGV[i + 4])\n"
    "  local first = 0\n"
    "  if outcome == '0' then\n"
    "    local once = 'again:' .. unit .. ':' .. attempt\n"
    "    if ours and redis.call('HEXISTS', out, unit) == 0 and\n"
    "      redis.call('HSETNX', plan, once, 1) == 1 then\n"
    "      redis.call('XADD', work, '*', 'u', unit, 'n', 1, 'a', attempt + 1, "
    "'x', "
    "node)\n"
    "    end\n"
    "  else\n"
    "    first = redis.call('HSETNX', out, unit, outcome)\n"
    "    if first == 1 then\n"
    "      local failures = redis.call('HINCRBY', plan, 'failures', ARGV[i + "
    "3])\n"
    "      local most = tonumber(redis.call('HGET', plan, 'maxfail') or 0)\n"
    "      if state() == 'open' and most > 0 and failures >= most then\n"
    "        redis.call('HSET', plan, 'state', 'stopped')\n"
    "      end\n"
    "      if redis.call('HINCRBY', plan, 'left', -1) == 0 then\n"
    "        redis.call('HSET', plan, 'state', 'over')\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "  counted[#counted + 1] = first\n"
    "end\n"
    "if ARGV[7] == '1' and ours then\n"
    "  redis.call('XACK', work, 'q', id)\n"
    "  redis.call('XDEL', work, id)\n"
    "  redis.call('HDEL', plan, 'cut:' .. id)\n"
    "end\n"
    "return {news(), counted}\n";

/* ARGV: the entry's name, first, count and attempt, how many of them. */
static const char board_back[] = BOARD_HEAD
    "local id = ARGV[6]\n"
    "if not owns(id) then return {news(), 0} end\n"
    "local keeps = ARGV[8] - ARGV[10]\n"
    "redis.call('XADD', work, '*', 'u', ARGV[7] + keeps, 'n', ARGV[10], 'a', "
    "ARGV[9], 'x', '')\n"
    "if keeps > 0 then\n"
    "  redis.call('HSET', plan, 'cut:' .. id, keeps)\n"
    "else\n"
    "  redis.call('XACK', work, 'q', id)\n"
    "  redis.call('XDEL', work, id)\n"
    "  redis.call('HDEL', plan, 'cut:' .. id)\n"
    "end\n"
    "return {news(), 1}\n";

static const char board_stop[] =
    BOARD_HEAD "if state() == 'open' then redis.call('HSET', plan, 'state', "
               "'stopped') end\n"
               "return {news(), 1}\n";

#endif
