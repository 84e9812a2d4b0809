//go:build unix

package main

const detectFolder = "services/analytics/internal/detect/"

// newDetector finds licenses on which many devices are refused.
var newDetector = recipe{
	name:    "detector",
	section: "Add a detector",
	most:    2,
	steps: []step{
		{file: detectFolder + "refusals.go", add: example("detector.go.txt")},
		{file: detectFolder + "detectors.go", after: "&dormantDetector", add: ", &refusalDetector"},
		{file: detectFolder + "recipe_test.go", add: example("detector_test.go.txt")},
	},
	packages: []string{"./services/analytics/internal/detect"},
	tests:    "TestRefusalBurst",
}
