package bus

import "strings"

// Matches reports whether a topic pattern (words between dots, * for exactly one word, # for any number of words, none
// included) matches an event type, as a topic exchange does.
func Matches(pattern, eventType string) bool {
	head, rest, more := strings.Cut(pattern, ".")
	if head == "#" {
		if !more {
			return true
		}
		return matchesAnyTail(rest, eventType)
	}
	word, tail, longer := strings.Cut(eventType, ".")
	if head != "*" && head != word {
		return false
	}
	switch {
	case more && longer:
		return Matches(rest, tail)
	case more:
		return strings.Trim(rest, ".#") == "" // each # stands for no word at all
	default:
		return !longer
	}
}

// matchesAnyTail tries what follows a # on the whole type and on every tail of it.
func matchesAnyTail(pattern, eventType string) bool {
	for {
		if Matches(pattern, eventType) {
			return true
		}
		_, tail, longer := strings.Cut(eventType, ".")
		if !longer {
			return false
		}
		eventType = tail
	}
}

// MatchesAny reports whether one of the patterns matches.
func MatchesAny(patterns []string, eventType string) bool {
	for _, p := range patterns {
		if Matches(p, eventType) {
			return true
		}
	}
	return false
}
