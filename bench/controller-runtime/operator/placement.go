package main

import (
	"cmp"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// The defaults of Holdfast.
	reservedMemoryBytes  = 1 << 30
	cpuOvercommitPercent = 1000
)

// What is placed on every host, as running sums. As in the scheduler of Kubernetes, a choice counts from the moment it is
// made: fifty workers that choose by what the cache says would all choose the same host.
type ledger struct {
	mu     sync.Mutex
	placed map[types.UID]share
	sums   map[string]share
	// Machines whose place the API server has, whatever the cache says.
	stored map[types.UID]bool
}

type share struct {
	host        string
	cpus        int64
	memoryBytes int64
}

type spot struct{ host, storage string }

func newLedger() *ledger {
	return &ledger{placed: map[types.UID]share{}, sums: map[string]share{}, stored: map[types.UID]bool{}}
}

// A machine of which the cache tells.
func (l *ledger) count(vm *VirtualMachine) {
	if vm.Status.Host == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(vm.UID, shareOf(vm, vm.Status.Host))
}

func (l *ledger) release(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(uid)
	delete(l.stored, uid)
}

func (l *ledger) noteStored(uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored[uid] = true
}

func (l *ledger) isStored(uid types.UID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored[uid]
}

// Chooses the host with the most memory left, and its storage with the most space left.
func (l *ledger) choose(vm *VirtualMachine, image *Image, hosts []Host, storages []DataStorage) (spot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(vm.UID) // An earlier choice that could not be stored.
	best, bestLeft := spot{}, int64(-1)
	for index := range hosts {
		host := &hosts[index]
		wanted := shareOf(vm, host.Name)
		left := l.memoryLeft(host)
		if !mayTake(host, vm, image) || left < wanted.memoryBytes || left <= bestLeft || l.cpusLeft(host) < wanted.cpus {
			continue
		}
		if storage, found := roomiest(storages, host.Name); found {
			best, bestLeft = spot{host: host.Name, storage: storage}, left
		}
	}
	if bestLeft < 0 {
		return spot{}, fmt.Errorf("no host fits %s/%s", vm.Namespace, vm.Name)
	}
	l.set(vm.UID, shareOf(vm, best.host))
	return best, nil
}

func mayTake(host *Host, vm *VirtualMachine, image *Image) bool {
	asked := vm.Spec.Placement
	for key, value := range asked.HostSelector {
		if host.Labels[key] != value {
			return false
		}
	}
	isAsked := asked.Host == "" || asked.Host == host.Name
	return isAsked && meta.IsStatusConditionTrue(host.Status.Conditions, "Ready") && slices.Contains(image.Status.Hosts, host.Name)
}

func roomiest(storages []DataStorage, host string) (string, bool) {
	var found []*DataStorage
	for index := range storages {
		storage := &storages[index]
		if storage.Spec.Local.Host == host && meta.IsStatusConditionTrue(storage.Status.Conditions, "Ready") {
			found = append(found, storage)
		}
	}
	if len(found) == 0 {
		return "", false
	}
	best := slices.MaxFunc(found, func(a, b *DataStorage) int {
		return cmp.Compare(toBytes(a.Status.Available), toBytes(b.Status.Available))
	})
	return best.Name, true
}

func (l *ledger) memoryLeft(host *Host) int64 {
	memory := toBytes(host.Status.Memory)
	return memory - min(reservedMemoryBytes, memory/4) - l.sums[host.Name].memoryBytes
}

func (l *ledger) cpusLeft(host *Host) int64 {
	return int64(host.Status.CPUs)*cpuOvercommitPercent/100 - l.sums[host.Name].cpus
}

func shareOf(vm *VirtualMachine, host string) share {
	return share{host: host, cpus: int64(vm.Spec.CPUs), memoryBytes: toBytes(vm.Spec.Memory)}
}

func (l *ledger) set(uid types.UID, next share) {
	l.drop(uid)
	l.placed[uid] = next
	l.add(next, 1)
}

func (l *ledger) drop(uid types.UID) {
	if before, known := l.placed[uid]; known {
		l.add(before, -1)
		delete(l.placed, uid)
	}
}

func (l *ledger) add(part share, sign int64) {
	sum := l.sums[part.host]
	sum.cpus += sign * part.cpus
	sum.memoryBytes += sign * part.memoryBytes
	l.sums[part.host] = sum
}

// What the schemas of the kinds let through can be parsed; anything else counts as nothing.
func toBytes(quantity string) int64 {
	parsed, err := resource.ParseQuantity(quantity)
	if err != nil {
		return 0
	}
	return parsed.Value()
}

func toQuantity(bytes int64) string {
	return resource.NewQuantity(bytes, resource.BinarySI).String()
}
