-- Prints what wrk has counted as one line of JSON. Only done() is defined, for any other hook would cost the client time in every request;
-- but with BENCH_VARY each request has a target and a field of its own, so that nothing that a server remembers of a head helps it.
if os.getenv("BENCH_VARY") then
  local requests, last = {}, 0
  function init()
    for number = 1, 20000 do
      requests[number] = wrk.format("GET", "/?n=" .. number, {["X-Number"] = tostring(number)})
    end
  end
  function request()
    last = last % 20000 + 1
    return requests[last]
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON {"requests": %d, "microseconds": %d, "bytes": %d, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "mean": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, summary.bytes, errors.connect, errors.read, errors.write, errors.status, errors.timeout,
    latency.mean, latency:percentile(50), latency:percentile(99)))
end
