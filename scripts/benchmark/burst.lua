-- What wrk asks for, and one line of JSON of how it went. Times are microseconds.
wrk.body = os.getenv("BENCH_BODY")
if wrk.body then
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
end
-- One `Name: value` a line.
for name, value in (os.getenv("BENCH_HEADERS") or ""):gmatch("([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "errors": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
