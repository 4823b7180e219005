"""What Redis does in one step: scripts in its Lua. Each is a function of the prefix of all keys, and of what is described above it.

The keys, behind the prefix::

    epoch, offset          where we are
    o:NODE                 the number of the last publication of a node
    last                   topics, by the offset of their last message; those forgotten are up to the offset `forgotten`
    h:TOPIC                a stream: what is kept, under its offset; b the text, p the offset of the one before it in its topic,
                           k how many are kept, x until when
    nodes                  nodes, by their last sign of life
    p:TOPIC, n:NODE        who is there: connections by name, ``=ann`` or ``-``, and ``*`` for all; by topic and name
    q:QUEUE                a stream with the group hx, whose consumers are nodes; ``-`` has what was given back
    feeds                  queues that get the messages of topics, with the pattern of those as Lua has it
    s:QUEUE, v:NODE        who serves it, what it serves; `idle` has feeds that nobody serves, by the time since then
    queues                 queues that may hold something

and the channels ``t:TOPIC``, ``w:QUEUE`` for word that there is something in it, ``n:NODE`` for one node.
"""

from __future__ import annotations

from hendrix.hey_joe.brokers.engine import ALIVE, ATTEMPTS, IDLE, MESSAGES, TOPICS

_COMMON = (
    f"""
local P = KEYS[1]
local MESSAGES, TOPICS, ALIVE, IDLE, ATTEMPTS = {MESSAGES}, {TOPICS}, {ALIVE}, {IDLE}, {ATTEMPTS}
"""
    + """
local call = redis.call
local time = call('TIME')
local now = time[1] + time[2] / 1000000
local function whole(number) return string.format('%.0f', number) end
local function last(topic)
    return tonumber(call('ZSCORE', P .. 'last', topic) or call('GET', P .. 'forgotten') or '0')
end
local function field(fields, name)
    for i = 1, #fields, 2 do
        if fields[i] == name then return fields[i + 1] end
    end
end
local function drop(queue, id)
    call('XACK', P .. 'q:' .. queue, 'hx', id)
    call('XDEL', P .. 'q:' .. queue, id)
end
local function give_back(queue, id)
    call('XCLAIM', P .. 'q:' .. queue, 'hx', '-', 0, id, 'JUSTID')
    call('PUBLISH', P .. 'w:' .. queue, queue)
end
local function present(node, topic, who, delta)
    local mine = call('HINCRBY', P .. 'n:' .. node, topic .. ' ' .. who, delta)
    if mine <= 0 then call('HDEL', P .. 'n:' .. node, topic .. ' ' .. who) end
    local all = call('HINCRBY', P .. 'p:' .. topic, who, delta)
    if all <= 0 then call('HDEL', P .. 'p:' .. topic, who) end
    local connections = call('HINCRBY', P .. 'p:' .. topic, '*', delta)
    if connections <= 0 then call('DEL', P .. 'p:' .. topic) end
    local edge = who == '-' or (delta > 0 and all == delta) or (delta < 0 and all <= 0)
    return {edge and 1 or 0, connections}
end
local function rest(node, queue)
    call('SREM', P .. 's:' .. queue, node)
    call('SREM', P .. 'v:' .. node, queue)
    if call('SCARD', P .. 's:' .. queue) == 0 and call('HEXISTS', P .. 'feeds', queue) == 1 then
        call('ZADD', P .. 'idle', now, queue)
    end
end
-- What was at a node that is no more.
local function bury(node, left, losses)
    call('ZREM', P .. 'nodes', node)
    local there = call('HGETALL', P .. 'n:' .. node)
    for i = 1, #there, 2 do
        local topic, who = string.match(there[i], '^(%S+) (.*)$')
        local changed = present(node, topic, who, -tonumber(there[i + 1]))
        left[#left + 1] = {topic, who, -tonumber(there[i + 1]), changed[1], changed[2]}
    end
    for _, queue in ipairs(call('SMEMBERS', P .. 'v:' .. node)) do
        rest(node, queue)
    end
    for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
        local held = redis.pcall('XPENDING', P .. 'q:' .. queue, 'hx', '-', '+', MESSAGES, node)
        for _, each in ipairs(held.err and {} or held) do
            local entry = call('XRANGE', P .. 'q:' .. queue, each[1], each[1])[1]
            if entry and field(entry[2], 'd') and each[4] < ATTEMPTS then
                give_back(queue, each[1])
            else
                if entry then losses[#losses + 1] = {queue, 'died', field(entry[2], 'b')} end
                drop(queue, each[1])
            end
        end
    end
end
"""
)

# A token, the epoch and the offset that the node knows. Gives where we are.
OPEN = (
    _COMMON
    + """
call('SETNX', P .. 'epoch', ARGV[1])
local offset = tonumber(call('GET', P .. 'offset') or '0')
if call('GET', P .. 'epoch') == ARGV[2] and offset < tonumber(ARGV[3]) then
    -- A replica that had not heard all has taken over: offsets that were given are not given again.
    offset = tonumber(ARGV[3]) + 1000000
    call('SET', P .. 'epoch', ARGV[1])
    call('SET', P .. 'offset', whole(offset))
end
return {call('GET', P .. 'epoch'), offset}
"""
)

# The node; then of each publication its kind, topic, number, keep, age, whether it is durable, and body.
PUBLISH = (
    _COMMON
    + """
local epoch = call('GET', P .. 'epoch')
if not epoch then return redis.error_reply('what was in it is gone') end
local offset = tonumber(call('GET', P .. 'offset') or '0')
local seen = tonumber(call('GET', P .. 'o:' .. ARGV[1]) or '0')
local feeds, full, woken = call('HGETALL', P .. 'feeds'), {}, {}
local function enqueue(queue, text, expires, durable)
    local key = P .. 'q:' .. queue
    if call('XLEN', key) >= MESSAGES then return false end
    if durable then
        call('XADD', key, '*', 'b', text, 'x', expires, 'd', 1)
    else
        call('XADD', key, '*', 'b', text, 'x', expires)
    end
    if not woken[queue] then call('SADD', P .. 'queues', queue) end
    woken[queue] = true
    return true
end
for i = 2, #ARGV, 7 do
    local kind, topic, number, keep, age = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3]), ARGV[i + 4]
    if number > seen then
        seen = number
        offset = offset + 1
        local at = whole(offset)
        local text = epoch .. '-' .. at .. ' ' .. ARGV[i + 6]
        if kind == 'work' then
            if not enqueue(topic, text, age, ARGV[i + 5] == '1') then full[#full + 1] = number end
        else
            local before = last(topic)
            call('ZADD', P .. 'last', at, topic)
            if kind == 'message' and keep > 0 then
                local key = P .. 'h:' .. topic
                local till = whole(now + tonumber(age))
                call('XADD', key, 'MAXLEN', '~', keep, at .. '-0', 'b', text, 'p', whole(before), 'k', keep, 'x', till)
                call('PEXPIRE', key, whole(tonumber(age) * 1000))
            end
            call('PUBLISH', P .. 't:' .. topic, text)
            if kind == 'message' then
                for j = 1, #feeds, 2 do
                    if string.find(topic, feeds[j + 1]) then enqueue(feeds[j], text, whole(now + 3600), false) end
                end
            end
        end
    end
end
call('SET', P .. 'offset', whole(offset))
call('SET', P .. 'o:' .. ARGV[1], whole(seen), 'EX', 86400)
for queue in pairs(woken) do
    call('PUBLISH', P .. 'w:' .. queue, queue)
end
while call('ZCARD', P .. 'last') > TOPICS do
    call('SET', P .. 'forgotten', call('ZPOPMIN', P .. 'last')[2])
end
return {epoch, offset, full}
"""
)

# The node, and what tells it the place of the answer. Then of each question the number of its patterns, and of each of those whether it is
# exact, the topic or the pattern as Lua has it, and the offset. Gives where we are, and for each question messages, and the numbers of the
# patterns with a gap.
AFTER = (
    _COMMON
    + """
local function past(topic, since, messages)
    local entries = call('XRANGE', P .. 'h:' .. topic, whole(math.max(since + 1, 0)), '+')
    local first = 1
    if #entries > 0 then
        first = math.max(1, #entries - tonumber(field(entries[#entries][2], 'k')) + 1)
    end
    local at, gap = since, false
    for i = first, #entries do
        local fields = entries[i][2]
        if tonumber(field(fields, 'x')) >= now then
            gap = gap or tonumber(field(fields, 'p')) > at
            at = tonumber(string.match(entries[i][1], '^%d+'))
            messages[#messages + 1] = field(fields, 'b')
        end
    end
    return gap or last(topic) > at
end
local answers, i = {}, 3
while i <= #ARGV do
    local messages, gaps, count = {}, {}, tonumber(ARGV[i])
    i = i + 1
    for number = 1, count do
        local exact, topic, since = ARGV[i] == '1', ARGV[i + 1], tonumber(ARGV[i + 2])
        i = i + 3
        local gap = false
        if exact then
            gap = past(topic, since, messages)
        else
            for _, each in ipairs(call('ZRANGEBYSCORE', P .. 'last', '(' .. whole(since), '+inf')) do
                if string.find(each, topic) and past(each, since, messages) then gap = true end
            end
            gap = gap or tonumber(call('GET', P .. 'forgotten') or '0') > since
        end
        if gap then gaps[#gaps + 1] = number end
    end
    answers[#answers + 1] = {messages, gaps}
end
if ARGV[2] ~= '' then call('PUBLISH', P .. 'n:' .. ARGV[1], 'fence ' .. ARGV[2]) end
return {call('GET', P .. 'epoch') or '', tonumber(call('GET', P .. 'offset') or '0'), answers}
"""
)

# The topic. Gives its messages.
HISTORY = (
    _COMMON
    + """
local entries, found = call('XRANGE', P .. 'h:' .. ARGV[1], '-', '+'), {}
local first = 1
if #entries > 0 then first = math.max(1, #entries - tonumber(field(entries[#entries][2], 'k')) + 1) end
for i = first, #entries do
    if tonumber(field(entries[i][2], 'x')) >= now then found[#found + 1] = field(entries[i][2], 'b') end
end
return found
"""
)

# The node, then topic, name and delta of each change. Gives for each whether it is the first or the last, and the connections.
PRESENT = (
    _COMMON
    + """
local answers = {}
for i = 2, #ARGV, 3 do
    answers[#answers + 1] = present(ARGV[1], ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]))
end
return answers
"""
)

# The node, and the place of the answer. Gives whether it was alive, who has left, and what is lost.
BEAT = (
    _COMMON
    + """
local alive = call('ZSCORE', P .. 'nodes', ARGV[1])
call('ZADD', P .. 'nodes', now, ARGV[1])
local left, losses = {}, {}
for _, node in ipairs(call('ZRANGEBYSCORE', P .. 'nodes', '-inf', now - ALIVE)) do
    bury(node, left, losses)
end
for _, queue in ipairs(call('ZRANGEBYSCORE', P .. 'idle', '-inf', now - IDLE)) do
    call('ZREM', P .. 'idle', queue)
    call('HDEL', P .. 'feeds', queue)
    call('DEL', P .. 'q:' .. queue)
end
for _, queue in ipairs(call('SMEMBERS', P .. 'queues')) do
    local held, over = {}, 0
    local pending = redis.pcall('XPENDING', P .. 'q:' .. queue, 'hx', '-', '+', MESSAGES)
    for _, each in ipairs(pending.err and {} or pending) do
        if each[2] ~= '-' then held[each[1]] = true end
    end
    for _, entry in ipairs(call('XRANGE', P .. 'q:' .. queue, '-', '+', 'COUNT', 200)) do
        if not held[entry[1]] and tonumber(field(entry[2], 'x')) < now then
            losses[#losses + 1] = {queue, 'expired', field(entry[2], 'b')}
            drop(queue, entry[1])
        end
    end
    if call('XLEN', P .. 'q:' .. queue) == 0 then call('SREM', P .. 'queues', queue) end
end
if ARGV[2] ~= '' then call('PUBLISH', P .. 'n:' .. ARGV[1], 'fence ' .. ARGV[2]) end
return {alive and 1 or 0, left, losses}
"""
)

# The node. Gives who has left, and what is lost.
LEAVE = (
    _COMMON
    + """
local left, losses = {}, {}
bury(ARGV[1], left, losses)
return {1, left, losses}
"""
)

# The node, the queue, and the pattern of its topics as Lua has it, or nothing.
SERVE = (
    _COMMON
    + """
call('SADD', P .. 's:' .. ARGV[2], ARGV[1])
call('SADD', P .. 'v:' .. ARGV[1], ARGV[2])
call('ZREM', P .. 'idle', ARGV[2])
if ARGV[3] ~= '' then call('HSET', P .. 'feeds', ARGV[2], ARGV[3]) end
return 1
"""
)

# The node and the queue.
REST = (
    _COMMON
    + """
rest(ARGV[1], ARGV[2])
return 1
"""
)

# The node, then queues with how many. Gives messages with their queue, id and attempt, and those that have expired.
TAKE = (
    _COMMON
    + """
local taken, losses = {}, {}
local function give(queue, entry, attempt)
    if not entry then return false end
    if tonumber(field(entry[2], 'x')) < now then
        losses[#losses + 1] = {queue, 'expired', field(entry[2], 'b')}
        drop(queue, entry[1])
        return false
    end
    taken[#taken + 1] = {queue, entry[1], attempt, field(entry[2], 'b')}
    return true
end
for i = 2, #ARGV, 2 do
    local queue, count = ARGV[i], tonumber(ARGV[i + 1])
    local key = P .. 'q:' .. queue
    if call('EXISTS', key) == 1 then
        redis.pcall('XGROUP', 'CREATE', key, 'hx', '0')
        for _, each in ipairs(call('XPENDING', key, 'hx', '-', '+', count, '-')) do
            local entry = call('XCLAIM', key, 'hx', ARGV[1], 0, each[1])[1]
            if give(queue, entry, each[4] + 1) then count = count - 1 end
        end
        while count > 0 do
            local got = call('XREADGROUP', 'GROUP', 'hx', ARGV[1], 'COUNT', count, 'STREAMS', key, '>')
            if not got then break end
            for _, entry in ipairs(got[1][2]) do
                if give(queue, entry, 1) then count = count - 1 end
            end
        end
    end
end
return {taken, losses}
"""
)

# Queue, id and whether it is given back, of each message.
SETTLE = (
    _COMMON
    + """
for i = 1, #ARGV, 3 do
    if ARGV[i + 2] == '1' then give_back(ARGV[i], ARGV[i + 1]) else drop(ARGV[i], ARGV[i + 1]) end
end
return 1
"""
)


def lua_pattern(pattern: str) -> str:
    """A pattern of topics as Lua has it."""
    levels = []
    for number, level in enumerate(pattern.split(".")):
        if level == "**":
            levels.append(".+" if number else "[^$].*")
        elif level == "*":
            levels.append("[^.]+" if number else "[^.$][^.]*")
        else:
            levels.append("".join(letter if letter.isalnum() or ord(letter) > 127 else f"%{letter}" for letter in level))
    return "^" + "%.".join(levels) + "$"
