-- When each directory spoke last.
SELECT source, at_ms
FROM directory_syncs
WHERE tenant = :tenant AND at_ms <= :as_of_ms
ORDER BY source
