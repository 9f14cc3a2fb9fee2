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

	mu    sync.Mutex
	hosts map[string]*member
	// Machines that are being ordered: whoever orders one looks at it anyway.
	ordering map[string]bool
}

type member struct {
	agent   *agent
	cancel  context.CancelFunc
	isKnown bool
	// By id. An agent that was started again counts its observations anew.
	machines map[string]observedMachine
}

func newFleet(caller *caller) *fleet {
	return &fleet{
		caller:   caller,
		changed:  make(chan event.TypedGenericEvent[types.NamespacedName], 1024),
		hosts:    map[string]*member{},
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
	next := &member{agent: agent, cancel: cancel, machines: map[string]observedMachine{}}
	f.hosts[host.Name] = next
	go f.follow(following, host.Name, next)
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
		f.mu.Lock()
		clear(of.machines)
		f.mu.Unlock()
		err := of.agent.events(ctx, func(told agentEvent) {
			switch told.Type {
			case "Machine":
				f.tell(of, told.Machine)
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

func (f *fleet) tell(of *member, machine observedMachine) {
	f.mu.Lock()
	isNews := of.note(machine) && !f.ordering[machine.ID]
	f.mu.Unlock()
	if !isNews {
		return
	}
	namespace, name, _ := strings.Cut(machine.Name, "/")
	f.changed <- event.TypedGenericEvent[types.NamespacedName]{
		Object: types.NamespacedName{Namespace: namespace, Name: name},
	}
}

// Of two observations the later one counts, whichever came first. To be called with the lock of the fleet held.
func (m *member) note(machine observedMachine) bool {
	if before, known := m.machines[machine.ID]; known && before.Revision >= machine.Revision {
		return false
	}
	m.machines[machine.ID] = machine
	return true
}

func (f *fleet) find(host string) (*member, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := f.hosts[host]
	if found == nil {
		return nil, fmt.Errorf("there is no host %s", host)
	}
	return found, nil
}

func (f *fleet) machine(on *member, id string) (observedMachine, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, known := on.machines[id]
	return found, known
}

// Tells the host what was decided, and returns the latest that is known of the machine.
func (f *fleet) order(ctx context.Context, to *member, machine desiredMachine) (observedMachine, error) {
	f.mu.Lock()
	f.ordering[machine.ID] = true
	f.mu.Unlock()
	observed, err := to.agent.putMachine(ctx, machine)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ordering, machine.ID)
	if err != nil {
		return observed, err
	}
	to.note(observed)
	return to.machines[machine.ID], nil
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
