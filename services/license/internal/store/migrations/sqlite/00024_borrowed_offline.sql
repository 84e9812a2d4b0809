-- +goose Up

-- Revocation lists name licenses, and devices without a seat, as long as what was borrowed of them lets somebody go on. A device without a seat
-- that has a live lease needs none, and did not leave.
UPDATE licenses SET offline_horizon = (SELECT max(borrowed_until) FROM leases WHERE leases.license_id = licenses.id)
WHERE id IN (SELECT license_id FROM leases WHERE borrowed_until IS NOT NULL) AND (offline_horizon IS NULL
    OR offline_horizon < (SELECT max(borrowed_until) FROM leases WHERE leases.license_id = licenses.id));
UPDATE devices SET offline_hardware_id = NULL, offline_horizon = (SELECT max(borrowed_until) FROM leases
    WHERE leases.license_id = devices.license_id AND leases.hardware_id = devices.hardware_id
    AND ending <> '')
WHERE NOT is_active AND (offline_hardware_id IS NULL OR offline_horizon < CURRENT_TIMESTAMP)
AND (license_id, hardware_id) IN (SELECT license_id, hardware_id FROM leases
    WHERE borrowed_until IS NOT NULL AND ending <> '')
AND (offline_horizon IS NULL OR offline_horizon < (SELECT max(borrowed_until) FROM leases
    WHERE leases.license_id = devices.license_id AND leases.hardware_id = devices.hardware_id
    AND ending <> ''));
