-- When the deputy stood in for an owner who had left, and for whom. The actor is taken apart, for a colon names a parameter.
SELECT s.id, s.before, s.after, s.at_ms
FROM workflow_steps s
JOIN workflow_current w ON w.tenant = s.tenant AND w.workflow = s.workflow
WHERE s.tenant = :tenant AND s.workflow = :workflow AND s.what = 'owner' AND s.by = 'policy' || ':' || 'succession'
  AND s.at_ms <= :as_of_ms AND lower(s.after) = lower(w.owner)
ORDER BY s.at_ms, s.id
