package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

const (
	lookAgain = 5 * time.Second
	soon      = 20 * time.Millisecond
	readyNote = "Everything is as the spec says"
)

// Has the host make the disk that a machine asked for.
type diskReconciler struct {
	client.Client
	fleet  *fleet
	events events.EventRecorder
}

func (r *diskReconciler) setUp(mgr ctrl.Manager, options controller.Options) error {
	return ctrl.NewControllerManagedBy(mgr).
		// A status that we wrote ourselves is no reason to look again.
		For(&Disk{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(options).
		Complete(r)
}

func (r *diskReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var disk Disk
	if err := r.Get(ctx, request.NamespacedName, &disk); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	isDone := isReady(disk.Status.Conditions) && disk.Status.ObservedGeneration == disk.Generation
	maker := disk.Labels[machineIDLabel]
	if isDone || maker == "" || !disk.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	host, observed, err := r.make(ctx, &disk)
	if err != nil {
		return ctrl.Result{}, err
	}
	if observed.State == "Creating" {
		return ctrl.Result{RequeueAfter: lookAgain}, nil
	}

	status := &disk.Status
	status.ID = string(disk.UID)
	status.Host = host
	status.DataStorage = disk.Spec.DataStorage
	status.Size = toQuantity(observed.SizeBytes)
	status.AttachedTo = Attachment{VirtualMachine: strings.TrimSuffix(disk.Name, "-root"), MachineID: maker}
	status.ObservedGeneration = disk.Generation
	reportReady(&status.Conditions, diskConditions, disk.Generation)
	if err := storeStatus(ctx, r.Client, &disk); err != nil {
		return retryConflict(err)
	}
	r.events.Eventf(&disk, nil, corev1.EventTypeNormal, "Ready", "Reconcile", readyNote)
	return ctrl.Result{}, nil
}

func (r *diskReconciler) make(ctx context.Context, disk *Disk) (string, observedDisk, error) {
	var none observedDisk
	var storage DataStorage
	if err := r.Get(ctx, client.ObjectKey{Name: disk.Spec.DataStorage}, &storage); err != nil {
		return "", none, err
	}
	host := storage.Spec.Local.Host
	var image Image
	if err := r.Get(ctx, client.ObjectKey{Namespace: disk.Namespace, Name: disk.Spec.Source.Image.Name}, &image); err != nil {
		return "", none, err
	}
	if !isReady(image.Status.Conditions) || !slices.Contains(image.Status.Hosts, host) {
		return "", none, fmt.Errorf("host %s does not have image %s", host, image.Name)
	}
	at, err := r.fleet.find(host)
	if err != nil {
		return "", none, err
	}
	observed, err := at.agent.putDisk(ctx, desiredDisk{
		ID:        string(disk.UID),
		Storage:   storage.Name,
		SizeBytes: toBytes(disk.Spec.Size),
		Image:     imageFile{Path: image.Spec.Source.File.Path, Format: image.Spec.Format, SHA256: image.Status.SHA256},
	})
	return host, observed, err
}

// On the version that was read.
func storeStatus(ctx context.Context, to client.Client, object client.Object) error {
	return to.Status().Update(ctx, object)
}

// The cache was behind: the ordinary way to learn of a change, and no error to log.
func retryConflict(err error) (ctrl.Result, error) {
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: soon}, nil
	}
	return ctrl.Result{}, err
}
