-- Reports of holdfast validate, the newest first.
SELECT id, tenant, kind, build, target, by, began_ms, recorded_ms, resilient, continuity, control, absent,
       calls, unloaded_ms, loaded_ms
FROM rollout_validations
WHERE tenant = :tenant AND kind = 'streaming' AND recorded_ms <= :as_of_ms
ORDER BY began_ms DESC, id
LIMIT 100
