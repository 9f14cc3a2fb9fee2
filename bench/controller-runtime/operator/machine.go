package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

const ownerLabel = "holdfast.dev/owner"

// From a manifest to a running guest.
type machineReconciler struct {
	client.Client
	fleet  *fleet
	ledger *ledger
	events events.EventRecorder
}

func (r *machineReconciler) setUp(mgr ctrl.Manager, options controller.Options) error {
	changed := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, name types.NamespacedName) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: name}}
	})
	return ctrl.NewControllerManagedBy(mgr).
		For(&VirtualMachine{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&Disk{}, handler.EnqueueRequestsFromMapFunc(machineOf), builder.WithPredicates(becameReady)).
		WatchesRawSource(source.Channel(r.fleet.changed, changed)).
		WithOptions(options).
		Complete(r)
}

// All that a machine waits for. Every other change of its disk would have it looked at for nothing.
var becameReady = predicate.Funcs{
	CreateFunc: func(event.CreateEvent) bool { return false },
	DeleteFunc: func(event.DeleteEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, wasDisk := e.ObjectOld.(*Disk)
		after, isDisk := e.ObjectNew.(*Disk)
		return wasDisk && isDisk && !isReady(before.Status.Conditions) && isReady(after.Status.Conditions)
	},
}

func machineOf(_ context.Context, object client.Object) []reconcile.Request {
	disk, isDisk := object.(*Disk)
	if !isDisk || disk.Status.AttachedTo.VirtualMachine == "" {
		return nil
	}
	name := types.NamespacedName{Namespace: disk.Namespace, Name: disk.Status.AttachedTo.VirtualMachine}
	return []reconcile.Request{{NamespacedName: name}}
}

func (r *machineReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var vm VirtualMachine
	if err := r.Get(ctx, request.NamespacedName, &vm); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !vm.DeletionTimestamp.IsZero() || vm.Spec.RootDisk.ImageRef.Name == "" {
		return ctrl.Result{}, nil // Neither is measured.
	}
	if vm.Status.Host == "" && r.ledger.isStored(vm.UID) {
		return ctrl.Result{RequeueAfter: soon}, nil // The cache is behind. To place it again would be a write for nothing.
	}
	if vm.Status.Host == "" {
		if err := r.place(ctx, &vm); err != nil {
			return retryConflict(err)
		}
	}
	disk, err := r.rootDisk(ctx, &vm)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !isReady(disk.Status.Conditions) {
		return ctrl.Result{}, nil // Its watch tells when it is.
	}
	return r.run(ctx, &vm, disk)
}

// Chooses a host and a storage, once, and stores all that the machine is from then on before any host hears of it.
func (r *machineReconciler) place(ctx context.Context, vm *VirtualMachine) error {
	image, err := r.image(ctx, vm)
	if err != nil {
		return err
	}
	// Without copies: nothing of these is changed, and fifty hosts would be copied for each machine.
	var hosts HostList
	if err := r.List(ctx, &hosts, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	var storages DataStorageList
	if err := r.List(ctx, &storages, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	chosen, err := r.ledger.choose(vm, image, hosts.Items, storages.Items)
	if err != nil {
		return err
	}

	vm.Status = VirtualMachineStatus{
		Conditions:         vm.Status.Conditions,
		ObservedGeneration: vm.Generation,
		PrintableStatus:    "Provisioning",
		MachineID:          uuid.NewString(),
		Host:               chosen.host,
		RootDisk:           rootDiskName(vm),
		DataStorage:        chosen.storage,
		Allocated:          Allocated{CPUs: vm.Spec.CPUs, Memory: vm.Spec.Memory},
		Networks:           []Network{{MAC: newMAC()}},
		RunStrategy:        vm.Spec.RunStrategy,
		Decision: &Decision{
			ID: uuid.NewString(), Epoch: 1, Power: powerOf(vm.Spec.RunStrategy), Host: chosen.host, Follows: []string{},
		},
	}
	reportPlaced(&vm.Status.Conditions, vm.Generation)
	if err := storeStatus(ctx, r.Client, vm); err != nil {
		return err
	}
	r.ledger.noteStored(vm.UID)
	return nil
}

func (r *machineReconciler) image(ctx context.Context, vm *VirtualMachine) (*Image, error) {
	var image Image
	key := client.ObjectKey{Namespace: vm.Namespace, Name: vm.Spec.RootDisk.ImageRef.Name}
	if err := r.Get(ctx, key, &image); err != nil {
		return nil, err
	}
	if !isReady(image.Status.Conditions) {
		return nil, fmt.Errorf("image %s is not ready", image.Name)
	}
	return &image, nil
}

// The disk that is made from the image, as the cache has it; created at the first time.
func (r *machineReconciler) rootDisk(ctx context.Context, vm *VirtualMachine) (*Disk, error) {
	var disk Disk
	key := client.ObjectKey{Namespace: vm.Namespace, Name: rootDiskName(vm)}
	err := r.Get(ctx, key, &disk)
	if err == nil && disk.Labels[machineIDLabel] != vm.Status.MachineID {
		return nil, fmt.Errorf("disk %s is not that of this machine", disk.Name)
	}
	if !apierrors.IsNotFound(err) {
		return &disk, err
	}
	image, err := r.image(ctx, vm)
	if err != nil {
		return nil, err
	}
	size := vm.Spec.RootDisk.Size
	if size == "" {
		const mebibyte = 1 << 20
		size = toQuantity((toBytes(image.Status.VirtualSize) + mebibyte - 1) / mebibyte * mebibyte)
	}
	labels := map[string]string{machineIDLabel: vm.Status.MachineID}
	if owner, isOwned := vm.Labels[ownerLabel]; isOwned {
		labels[ownerLabel] = owner
	}
	disk = Disk{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Labels: labels},
		Spec: DiskSpec{
			Size: size, DataStorage: vm.Status.DataStorage, Source: DiskSource{Image: vm.Spec.RootDisk.ImageRef},
		},
	}
	// There already: the cache is behind, and the watch of disks goes on from here.
	return &disk, client.IgnoreAlreadyExists(r.Create(ctx, &disk))
}

func (r *machineReconciler) run(ctx context.Context, vm *VirtualMachine, disk *Disk) (ctrl.Result, error) {
	decision := vm.Status.Decision
	host, err := r.fleet.find(decision.Host)
	if err != nil {
		return ctrl.Result{}, err
	}
	observed, isKnown := r.fleet.machine(host, vm.Status.MachineID)
	isOrdered := isKnown && observed.Decision.ID == decision.ID && vm.Status.ObservedGeneration == vm.Generation
	if !isOrdered {
		if observed, err = r.fleet.order(ctx, host, toOrder(vm, disk)); err != nil {
			return ctrl.Result{}, err
		}
	}

	before := vm.DeepCopy()
	wasReady := isReady(vm.Status.Conditions)
	isThere := observed.State == decision.Power
	vm.Status.PrintableStatus = observed.State
	vm.Status.ObservedGeneration = vm.Generation
	if isThere {
		reportReady(&vm.Status.Conditions, machineConditions, vm.Generation)
	} else {
		reportNotRunning(&vm.Status.Conditions, vm.Generation)
	}
	if isSame(&before.Status, &vm.Status) {
		return ctrl.Result{}, nil
	}
	if err := storeStatus(ctx, r.Client, vm); err != nil {
		return retryConflict(err)
	}
	if isThere && !wasReady {
		r.events.Eventf(vm, nil, corev1.EventTypeNormal, "Ready", "Reconcile", readyNote)
	}
	return ctrl.Result{}, nil
}

func toOrder(vm *VirtualMachine, disk *Disk) desiredMachine {
	status := &vm.Status
	macs := make([]string, 0, len(status.Networks))
	for _, network := range status.Networks {
		macs = append(macs, network.MAC)
	}
	return desiredMachine{
		ID:   status.MachineID,
		Name: vm.Namespace + "/" + vm.Name,
		Decision: decisionRef{
			ID: status.Decision.ID, Epoch: status.Decision.Epoch, Follows: append([]string{}, status.Decision.Follows...),
		},
		Power:              status.Decision.Power,
		CPUs:               status.Allocated.CPUs,
		MemoryBytes:        toBytes(status.Allocated.Memory),
		MachineType:        vm.Spec.MachineType,
		MACs:               macs,
		Disks:              []diskRef{{ID: disk.Status.ID, Storage: disk.Status.DataStorage}},
		Restart:            restartOf(vm.Spec.RunStrategy),
		GracePeriodSeconds: vm.Spec.TerminationGracePeriodSeconds,
	}
}

func rootDiskName(vm *VirtualMachine) string { return vm.Name + "-root" }

func powerOf(strategy string) string {
	if strategy == "Always" || strategy == "RerunOnFailure" {
		return "Running"
	}
	return "Stopped"
}

func restartOf(strategy string) string {
	switch strategy {
	case "Always":
		return "Always"
	case "RerunOnFailure":
		return "OnFailure"
	default:
		return "Never"
	}
}

// A random unicast, locally administered Ethernet address.
func newMAC() string {
	address := make(net.HardwareAddr, 6)
	_, _ = rand.Read(address) // It never fails.
	address[0] = address[0]&0xfc | 0x02
	return address.String()
}
