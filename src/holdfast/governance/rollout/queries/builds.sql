-- Builds that served within a day.
SELECT build, first_ms, last_ms
FROM rollout_builds
WHERE last_ms + 86400000 >= :as_of_ms
ORDER BY build
