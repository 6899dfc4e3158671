-- Builds that served within a day.
SELECT build, first_ms, last_ms
FROM rollout_builds
WHERE last_ms >= :as_of_ms - 86400000
ORDER BY build
