package event

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// Timestamp is t as messages carry it: absent where t is zero.
func Timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
