-- One request with one of the cookies made beforehand, each in turn; every thread begins somewhere else.
-- wrk ... -s load.lua -- COOKIE_FILE
local threads = 0

function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

function init(args)
    requests = {}
    for line in io.lines(args[1]) do
        local headers = {}
        if line ~= "-" then headers["Cookie"] = line end
        requests[#requests + 1] = wrk.format("GET", nil, headers)
    end
    at = number * math.floor(#requests / 2)
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\nRESULT {"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, "status": %d, "connect": %d, '
            .. '"read": %d, "write": %d, "timeout": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
        errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
