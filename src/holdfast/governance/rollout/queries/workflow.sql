-- The workflow as its manifest declares it now.
SELECT version, state, mode, stage, unit, owner, deputy, sponsor, payer, since_ms
FROM workflow_current
WHERE tenant = :tenant AND workflow = :workflow
ORDER BY version
