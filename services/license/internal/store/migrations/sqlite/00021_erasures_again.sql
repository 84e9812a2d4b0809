-- +goose Up

-- Earlier versions left events about licenses whose ids callers had spelled otherwise ("{...}", in upper case, without hyphens): the log
-- is cleaned once more of all customers that were erased.
UPDATE erasures SET scrubbed_at = NULL;
