// SPDX-License-Identifier: MIT
#pragma once
// What runs inside Redis (Lua 5.1, redis.io/docs/latest/develop/interact/programmability/eval-intro): a
// script is carried out as a whole, and the append-only file has all of its writes or none. Numbers stay
// below 2^53.
//
// Keys, each behind "{prefix}:" (the braces keep them in one slot):
//   head          hash: format, store (its random name), last (sequence), time, wall (ms, of the last entry),
//   checkpoint, upto, made entries       stream: the entry n has the id n-0; fields t, w (ms), g, n (origin),
//   e (the event) a:<hex id>    string: an attachment, "<unpacked bytes, 0 = as it is>:" before its bytes
//   c:<number>    list: the records of a checkpoint
//   session:<hex> string: the number of the present connection of a journal that writes; runs out after a
//   week writer        string: the journal that writes alone; runs out
//
// Refusals begin with a word of their own, and have a second one, else Redis puts ERR before them: GONE (of
// another session: the connection was thought lost), OTHER (another writer), BEHIND <last>, STORED, NEWER
// <format>, NOENTRY, REPLACED.

#include <string_view>

namespace atelier::journal::redis {

inline constexpr std::string_view kFormat = "1";

/// KEYS: head, session, writer, entries, attachments... ARGV: session number, format, last entry seen,
/// journal that writes alone ("": none), its ttl in ms, time, wall, count, then per entry gateway, ticket,
/// event; then the attachments. Gives {first sequence, time}.
inline constexpr std::string_view kAppend = R"(
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('GONE by now') end
local head = redis.call('HMGET', KEYS[1], 'format', 'last', 'time')
local last = tonumber(head[2] or '0')
if last < tonumber(ARGV[3]) or not head[1] then return redis.error_reply(string.format('BEHIND %.0f', last)) end
if head[1] ~= ARGV[2] then return redis.error_reply('NEWER ' .. head[1]) end
if ARGV[4] ~= '' then
  local writer = redis.call('GET', KEYS[3])
  if writer and writer ~= ARGV[4] then return redis.error_reply('OTHER writer') end
end
for i = 5, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then return redis.error_reply('STORED already') end
end
local time = math.max(tonumber(head[3] or '0'), tonumber(ARGV[6]))
local count = tonumber(ARGV[8])
local text = string.format('%.0f', time)
for i = 1, count do
  local at = 9 + (i - 1) * 3
  redis.call('XADD', KEYS[4], string.format('%.0f-0', last + i),
             't', text, 'w', ARGV[7], 'g', ARGV[at], 'n', ARGV[at + 1], 'e', ARGV[at + 2])
end
for i = 5, #KEYS do redis.call('SET', KEYS[i], ARGV[9 + count * 3 + i - 5]) end
redis.call('HSET', KEYS[1], 'last', string.format('%.0f', last + count), 'time', text, 'wall', ARGV[7])
redis.call('EXPIRE', KEYS[2], 604800)
if ARGV[4] ~= '' then redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5]) end
return {last + 1, text}
)";

/// A journal's new connection: what an older one sent and that comes later has no effect. KEYS: head,
/// session, writer. ARGV: session number, format, last entry seen, journal that writes alone ("": none), its
/// ttl in ms, a random name for a new store. Gives {last, time, wall, the store's name}, the first three ""
/// in an empty one. A replica refuses the first line: it may only be behind.
inline constexpr std::string_view kBegin = R"(
redis.call('SET', KEYS[2], ARGV[1], 'EX', 604800)
local head = redis.call('HMGET', KEYS[1], 'format', 'last', 'time', 'wall')
local last = tonumber(head[2] or '0')
if last < tonumber(ARGV[3]) then return redis.error_reply(string.format('BEHIND %.0f', last)) end
if head[1] and head[1] ~= ARGV[2] then return redis.error_reply('NEWER ' .. head[1]) end
if ARGV[4] ~= '' then
  local writer = redis.call('GET', KEYS[3])
  if writer and writer ~= ARGV[4] then return redis.error_reply('OTHER writer') end
  redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
end
redis.call('HSETNX', KEYS[1], 'format', ARGV[2])
redis.call('HSETNX', KEYS[1], 'store', ARGV[6])
return {head[2] or '', head[3] or '', head[4] or '', redis.call('HGET', KEYS[1], 'store')}
)";

/// KEYS: writer, session. ARGV: the journal that writes alone, its ttl in ms.
inline constexpr std::string_view kRenew = R"(
local writer = redis.call('GET', KEYS[1])
if writer and writer ~= ARGV[1] then return redis.error_reply('OTHER writer') end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('EXPIRE', KEYS[2], 604800)
return 'OK'
)";

/// KEYS: writer. ARGV: the journal that does not write any more.
inline constexpr std::string_view kLeave = R"(
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 'OK'
)";

/// KEYS: head, session, records. ARGV: session number, ttl of the records in s, records...
inline constexpr std::string_view kSlice = R"(
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('GONE by now') end
for i = 3, #ARGV do redis.call('RPUSH', KEYS[3], ARGV[i]) end
redis.call('EXPIRE', KEYS[3], ARGV[2])
return 'OK'
)";

/// KEYS: head, session, records, records of the one before. ARGV: session number, number of the checkpoint,
/// sequence of its last entry, number of the one before ("0": none).
inline constexpr std::string_view kFlip = R"(
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('GONE by now') end
local head = redis.call('HMGET', KEYS[1], 'last', 'checkpoint')
if tonumber(head[1] or '0') < tonumber(ARGV[3]) then return redis.error_reply('NOENTRY there') end
if (head[2] or '0') ~= ARGV[4] then return redis.error_reply('REPLACED meanwhile') end
redis.call('HSET', KEYS[1], 'checkpoint', ARGV[2], 'upto', ARGV[3])
redis.call('PERSIST', KEYS[3])
redis.call('UNLINK', KEYS[4])
return 'OK'
)";

}  // namespace atelier::journal::redis
