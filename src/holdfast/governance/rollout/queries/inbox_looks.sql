-- When each source of the inbox was computed last without a failure.
SELECT source, at_ms
FROM inbox_looks
WHERE tenant = :tenant
ORDER BY source
