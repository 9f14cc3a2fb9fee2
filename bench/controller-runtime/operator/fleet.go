package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
)

const reconnectAfter = time.Second

// The hosts, each with a connection that is kept, and what they last said of their machines. A poll of every host would be
// simpler, and would notice late that a guest has ended.
type fleet struct {
	caller *caller
	// Machines of which something new is known.
	changed chan event.TypedGenericEvent[types.NamespacedName]
	// Whether all hosts that there are have been put here.
	isComplete func() bool

	mu       sync.Mutex
	hosts    map[string]*member
	machines map[string]observedMachine
	// Machines that are being ordered: whoever orders one looks at it anyway.
	ordering map[string]bool
}

type member struct {
	agent   *agent
	cancel  context.CancelFunc
	isKnown bool
}

func newFleet(caller *caller) *fleet {
	return &fleet{
		caller:   caller,
		changed:  make(chan event.TypedGenericEvent[types.NamespacedName], 1024),
		hosts:    map[string]*member{},
		machines: map[string]observedMachine{},
		ordering: map[string]bool{},
	}
}

func (f *fleet) put(ctx context.Context, host *Host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.hosts[host.Name]
	if before != nil && before.agent.base == baseOf(host.Spec.Address, host.Spec.Port) {
		return
	}
	if before != nil {
		before.cancel()
	}
	following, cancel := context.WithCancel(ctx)
	agent := f.caller.connect(host.Name, host.Spec.Address, host.Spec.Port)
	f.hosts[host.Name] = &member{agent: agent, cancel: cancel}
	go f.follow(following, host.Name, f.hosts[host.Name])
}

func (f *fleet) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if found := f.hosts[name]; found != nil {
		found.cancel()
		delete(f.hosts, name)
	}
}

func (f *fleet) follow(ctx context.Context, name string, of *member) {
	for ctx.Err() == nil {
		err := of.agent.events(ctx, func(told agentEvent) {
			switch told.Type {
			case "Machine":
				f.tell(told.Machine)
			case "Synced":
				f.mu.Lock()
				of.isKnown = true
				f.mu.Unlock()
			}
		})
		ctrl.Log.Info("a host does not answer", "host", name, "why", err.Error())
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter):
		}
	}
}

func (f *fleet) tell(machine observedMachine) {
	f.mu.Lock()
	isNews := f.note(machine) && !f.ordering[machine.ID]
	f.mu.Unlock()
	if !isNews {
		return
	}
	namespace, name, _ := strings.Cut(machine.Name, "/")
	f.changed <- event.TypedGenericEvent[types.NamespacedName]{
		Object: types.NamespacedName{Namespace: namespace, Name: name},
	}
}

// Of two observations the later one counts, whichever came first. To be called with the lock held.
func (f *fleet) note(machine observedMachine) bool {
	if before, known := f.machines[machine.ID]; known && before.Revision >= machine.Revision {
		return false
	}
	f.machines[machine.ID] = machine
	return true
}

func (f *fleet) machine(id string) (observedMachine, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, known := f.machines[id]
	return found, known
}

// Tells the host what was decided, and returns the latest that is known of the machine.
func (f *fleet) order(ctx context.Context, to *agent, machine desiredMachine) (observedMachine, error) {
	f.mu.Lock()
	f.ordering[machine.ID] = true
	f.mu.Unlock()
	observed, err := to.putMachine(ctx, machine)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ordering, machine.ID)
	if err != nil {
		return observed, err
	}
	f.note(observed)
	return f.machines[machine.ID], nil
}

func (f *fleet) agentOf(host string) (*agent, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.hosts[host]
	if found == nil {
		return nil, fmt.Errorf("there is no host %s", host)
	}
	return found.agent, nil
}

// For /readyz: every host has told of all its machines.
func (f *fleet) check(_ *http.Request) error {
	if !f.isComplete() {
		return errors.New("the hosts are not known yet")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, found := range f.hosts {
		if !found.isKnown {
			return fmt.Errorf("host %s has not told of its machines", name)
		}
	}
	return nil
}
