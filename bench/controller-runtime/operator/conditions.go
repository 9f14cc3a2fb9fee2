package main

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// In the order in which Holdfast writes them.
var (
	machineConditions = []string{"ImageReady", "Placed", "RequestAccepted", "DisksReady", "PowerStateReached", "SpecApplied"}
	diskConditions    = []string{"ImageReady", "Placed", "Provisioned", "SpecApplied"}
)

// All that an object is to be is so.
func reportReady(conditions *[]metav1.Condition, names []string, generation int64) {
	for _, name := range append([]string{"Ready"}, names...) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: name, Status: metav1.ConditionTrue, Reason: name, ObservedGeneration: generation,
		})
	}
}

// The place of a machine is chosen, and nothing else is done yet.
func reportPlaced(conditions *[]metav1.Condition, generation int64) {
	decided := metav1.Condition{
		Status: metav1.ConditionFalse, Reason: "InProgress",
		Message: "It is decided, and is being carried out", ObservedGeneration: generation,
	}
	for _, name := range append([]string{"Ready"}, machineConditions...) {
		condition := metav1.Condition{
			Type: name, Status: metav1.ConditionUnknown, Reason: "NotReached",
			Message: "An earlier step is not done", ObservedGeneration: generation,
		}
		switch name {
		case "ImageReady":
			condition = metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: name, ObservedGeneration: generation}
		case "Ready", "Placed":
			condition = decided
			condition.Type = name
		}
		meta.SetStatusCondition(conditions, condition)
	}
}

func reportNotRunning(conditions *[]metav1.Condition, generation int64) {
	for _, name := range []string{"Ready", "PowerStateReached"} {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: name, Status: metav1.ConditionFalse, Reason: "Starting",
			Message: "The machine is starting", ObservedGeneration: generation,
		})
	}
}

func isReady(conditions []metav1.Condition) bool {
	return meta.IsStatusConditionTrue(conditions, "Ready")
}

// Whether there is nothing to tell: an update that changes nothing would still be a request.
func isSame(before, after *VirtualMachineStatus) bool {
	return before.PrintableStatus == after.PrintableStatus &&
		before.ObservedGeneration == after.ObservedGeneration &&
		slices.Equal(before.Conditions, after.Conditions)
}
