-- The manifest that holds, for the hours that it gives its owner.
SELECT w.version, m.document
FROM workflow_current w
LEFT JOIN workflow_manifests m ON m.tenant = w.tenant AND m.workflow = w.workflow AND m.version = w.version
WHERE w.tenant = :tenant AND w.workflow = :workflow
ORDER BY w.version
