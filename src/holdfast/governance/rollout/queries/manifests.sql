-- The manifests of the workflow, from when each one held; the document as JSON.
SELECT s.at_ms, s.before, s.after AS version, m.document
FROM workflow_steps s
JOIN workflow_manifests m ON m.tenant = s.tenant AND m.workflow = s.workflow AND m.version = s.after
WHERE s.tenant = :tenant AND s.workflow = :workflow AND s.what = 'version' AND s.at_ms <= :as_of_ms
ORDER BY s.at_ms, s.id
