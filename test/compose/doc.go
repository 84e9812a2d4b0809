// Package compose tests docker-compose.yml without a container engine: it starts the built binaries with exactly the
// commands and the environment written there, against private servers prepared by the scripts that it mounts.
package compose
