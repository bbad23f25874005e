-- What every script below begins with.

-- identity names one unbroken life of the server's data.
local function identity()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  if not run or not replid then
    error('this server hides its run_id or master_replid')
  end
  return run .. ':' .. replid
end

-- now is the server's clock in microseconds; a double holds it until 2255.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

local function whole(n)
  return string.format('%.0f', n)
end

-- since is when identity id was first seen by a holder of the org, nil if never.
local function since(key, id)
  local stamp = redis.call('GET', key)
  if stamp and string.sub(stamp, 1, #id + 1) == id .. ' ' then
    return tonumber(string.sub(stamp, #id + 2))
  end
  return nil
end
