-- How long people of the workflow waited for the first token in minutes with much headless load, and in minutes with little: with
-- at least its 90th percentile of headless calls, and with at most its 10th, of all minutes that had any call. A call that ended
-- without a token waited until then.
WITH calls AS (
  SELECT r.at_ms / 60000 AS minute, r.usage, r.workflow, r.outcome, coalesce(r.first_ms, r.took_ms) AS wait_ms
  FROM ledger_rows r
  WHERE r.tenant = :tenant AND r.source = 'gateway' AND r.parent = '' AND r.at_ms >= :since_ms AND r.at_ms < :until_ms
    AND r.usage IN ('seated', 'headless')
    AND r.id NOT IN (SELECT c.corrects FROM ledger_rows c WHERE c.tenant = :tenant AND c.corrects <> '')
    AND NOT EXISTS (SELECT 1 FROM gateway_keys k WHERE k.id = r.key AND k.labels LIKE '%"test":"yes"%')
), minutes AS (
  SELECT minute, sum(CASE WHEN usage = 'headless' THEN 1 ELSE 0 END) AS headless FROM calls GROUP BY minute
), ranked AS (
  SELECT headless, row_number() OVER (ORDER BY headless, minute) AS place, count(*) OVER () AS n FROM minutes
), bounds AS (
  SELECT max(CASE WHEN place = (n * 10 + 99) / 100 THEN headless END) AS low,
         max(CASE WHEN place = (n * 90 + 99) / 100 THEN headless END) AS high
  FROM ranked
), sides AS (
  SELECT CASE WHEN m.headless >= b.high THEN 'busy' ELSE 'calm' END AS side, c.wait_ms, b.low, b.high
  FROM calls c
  JOIN minutes m ON m.minute = c.minute
  CROSS JOIN bounds b
  WHERE c.usage = 'seated' AND c.workflow = :workflow AND c.outcome IN ('served', 'cut', 'drained')
    AND (m.headless >= b.high OR m.headless <= b.low) AND b.high > b.low
), placed AS (
  SELECT side, wait_ms, low, high, row_number() OVER (PARTITION BY side ORDER BY wait_ms) AS place,
         count(*) OVER (PARTITION BY side) AS n
  FROM sides
)
SELECT side, max(n) AS n, max(CASE WHEN place = (n * 99 + 99) / 100 THEN wait_ms END) AS p99_ms, max(low) AS low, max(high) AS high
FROM placed
GROUP BY side
ORDER BY side
