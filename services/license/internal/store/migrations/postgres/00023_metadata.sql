-- +goose Up

-- Lists find licenses by members of their metadata. What is JSON and still not jsonb, such as a number out of its range, is found by
-- nothing, and is no reason to refuse the license. COST: reading each metadata is dearer than any use of the index.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION metadata_document(metadata text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT COST 1000 AS $$
BEGIN
    RETURN metadata::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE INDEX IF NOT EXISTS licenses_metadata ON licenses USING gin (metadata_document(metadata) jsonb_path_ops) WHERE metadata <> '{}';

-- +goose Down
DROP INDEX licenses_metadata;
DROP FUNCTION metadata_document;
