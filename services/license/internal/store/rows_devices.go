package store

import (
	"encoding/json"

	"github.com/latchkey-dev/latchkey/services/license/internal/licensing"
)

// idleMinutes is NULL for a license whose seats are not freed by themselves.
func idleMinutes(t *licensing.Terms) *int {
	if t.Devices == nil || t.Devices.IdleMinutes == 0 {
		return nil
	}
	return &t.Devices.IdleMinutes
}

// encodeVariables is the column of a device's variables: NULL for none.
func encodeVariables(variables map[string]string) *string {
	if len(variables) == 0 {
		return nil
	}
	return encodeTerms(&variables)
}

func decodeVariables(text *string) (variables map[string]string) {
	if text != nil {
		_ = json.Unmarshal([]byte(*text), &variables) // written by encodeVariables
	}
	return variables
}
