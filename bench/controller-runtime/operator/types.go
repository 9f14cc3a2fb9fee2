package main

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Typed structs and not unstructured ones: decoding into maps takes several times the memory and CPU, and no operator of a
// team has them for its own kinds. They have what this operator reads and writes: all of a status, which is written as a whole.

var (
	computeVersion = schema.GroupVersion{Group: "compute.holdfast.dev", Version: "v1alpha1"}
	storageVersion = schema.GroupVersion{Group: "storage.holdfast.dev", Version: "v1alpha1"}
)

const machineIDLabel = "compute.holdfast.dev/machine-id"

type LocalRef struct {
	Name string `json:"name,omitempty"`
}

type VirtualMachine struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	Spec              VirtualMachineSpec   `json:"spec,omitzero"`
	Status            VirtualMachineStatus `json:"status,omitzero"`
}

type VirtualMachineSpec struct {
	CPUs                          int32     `json:"cpus,omitempty"`
	Memory                        string    `json:"memory,omitempty"`
	MachineType                   string    `json:"machineType,omitempty"`
	RunStrategy                   string    `json:"runStrategy,omitempty"`
	RootDisk                      RootDisk  `json:"rootDisk,omitzero"`
	Placement                     Placement `json:"placement,omitzero"`
	TerminationGracePeriodSeconds int32     `json:"terminationGracePeriodSeconds,omitempty"`
}

type RootDisk struct {
	ImageRef    LocalRef `json:"imageRef,omitzero"`
	Size        string   `json:"size,omitempty"`
	DataStorage string   `json:"dataStorage,omitempty"`
}

type Placement struct {
	Host         string            `json:"host,omitempty"`
	HostSelector map[string]string `json:"hostSelector,omitempty"`
}

type VirtualMachineStatus struct {
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	PrintableStatus    string             `json:"printableStatus,omitempty"`
	MachineID          string             `json:"machineId,omitempty"`
	Host               string             `json:"host,omitempty"`
	RootDisk           string             `json:"rootDisk,omitempty"`
	DataStorage        string             `json:"dataStorage,omitempty"`
	Allocated          Allocated          `json:"allocated,omitzero"`
	Networks           []Network          `json:"networks,omitempty"`
	RunStrategy        string             `json:"runStrategy,omitempty"`
	Decision           *Decision          `json:"decision,omitempty"`
}

type Allocated struct {
	CPUs   int32  `json:"cpus"`
	Memory string `json:"memory"`
}

type Network struct {
	MAC string `json:"mac"`
}

// Decision is stored before any host acts on it.
type Decision struct {
	ID      string   `json:"id"`
	Epoch   int64    `json:"epoch"`
	Power   string   `json:"power"`
	Host    string   `json:"host"`
	Follows []string `json:"follows"`
}

type Disk struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	Spec              DiskSpec   `json:"spec,omitzero"`
	Status            DiskStatus `json:"status,omitzero"`
}

type DiskSpec struct {
	Size        string     `json:"size,omitempty"`
	DataStorage string     `json:"dataStorage,omitempty"`
	Source      DiskSource `json:"source,omitzero"`
}

type DiskSource struct {
	Image LocalRef `json:"image,omitzero"`
}

type DiskStatus struct {
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	ID                 string             `json:"id,omitempty"`
	Host               string             `json:"host,omitempty"`
	DataStorage        string             `json:"dataStorage,omitempty"`
	Size               string             `json:"size,omitempty"`
	AttachedTo         Attachment         `json:"attachedTo,omitzero"`
}

type Attachment struct {
	VirtualMachine string `json:"virtualMachine"`
	MachineID      string `json:"machineId"`
}

type Host struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	Spec              HostSpec   `json:"spec,omitzero"`
	Status            HostStatus `json:"status,omitzero"`
}

type HostSpec struct {
	Address string `json:"address,omitempty"`
	Port    int32  `json:"port,omitempty"`
}

type HostStatus struct {
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	CPUs       int32              `json:"cpus,omitempty"`
	Memory     string             `json:"memory,omitempty"`
}

type DataStorage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	Spec              DataStorageSpec   `json:"spec,omitzero"`
	Status            DataStorageStatus `json:"status,omitzero"`
}

type DataStorageSpec struct {
	Local struct {
		Host string `json:"host,omitempty"`
	} `json:"local,omitzero"`
}

type DataStorageStatus struct {
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	Available  string             `json:"available,omitempty"`
}

type Image struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	Spec              ImageSpec   `json:"spec,omitzero"`
	Status            ImageStatus `json:"status,omitzero"`
}

type ImageSpec struct {
	Format string `json:"format,omitempty"`
	Source struct {
		File struct {
			Path string `json:"path,omitempty"`
		} `json:"file,omitzero"`
	} `json:"source,omitzero"`
}

type ImageStatus struct {
	Conditions  []metav1.Condition `json:"conditions,omitempty"`
	SHA256      string             `json:"sha256,omitempty"`
	VirtualSize string             `json:"virtualSize,omitempty"`
	Hosts       []string           `json:"hosts,omitempty"`
}

// List is what the API server answers for any of the kinds.
type List[T any] struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []T `json:"items"`
}

type (
	VirtualMachineList struct{ List[VirtualMachine] }
	DiskList           struct{ List[Disk] }
	HostList           struct{ List[Host] }
	DataStorageList    struct{ List[DataStorage] }
	ImageList          struct{ List[Image] }
)

func addToScheme(scheme *runtime.Scheme) {
	scheme.AddKnownTypes(computeVersion, &VirtualMachine{}, &VirtualMachineList{}, &Host{}, &HostList{})
	scheme.AddKnownTypes(storageVersion, &Disk{}, &DiskList{}, &DataStorage{}, &DataStorageList{}, &Image{}, &ImageList{})
	metav1.AddToGroupVersion(scheme, computeVersion)
	metav1.AddToGroupVersion(scheme, storageVersion)
}

// What follows is what controller-gen would write, in fewer lines.

func (in *VirtualMachine) DeepCopy() *VirtualMachine {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Spec.Placement.HostSelector = maps.Clone(in.Spec.Placement.HostSelector)
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
	out.Status.Networks = slices.Clone(in.Status.Networks)
	if in.Status.Decision != nil {
		decision := *in.Status.Decision
		decision.Follows = slices.Clone(decision.Follows)
		out.Status.Decision = &decision
	}
	return &out
}

func (in *Disk) DeepCopy() *Disk {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
	return &out
}

func (in *Host) DeepCopy() *Host {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
	return &out
}

func (in *DataStorage) DeepCopy() *DataStorage {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
	return &out
}

func (in *Image) DeepCopy() *Image {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = slices.Clone(in.Status.Conditions)
	out.Status.Hosts = slices.Clone(in.Status.Hosts)
	return &out
}

func copyList[T any, P interface {
	*T
	DeepCopy() *T
}](in List[T]) List[T] {
	out := in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	out.Items = make([]T, len(in.Items))
	for index := range in.Items {
		out.Items[index] = *P(&in.Items[index]).DeepCopy()
	}
	return out
}

func (in *VirtualMachine) DeepCopyObject() runtime.Object { return in.DeepCopy() }
func (in *Disk) DeepCopyObject() runtime.Object           { return in.DeepCopy() }
func (in *Host) DeepCopyObject() runtime.Object           { return in.DeepCopy() }
func (in *DataStorage) DeepCopyObject() runtime.Object    { return in.DeepCopy() }
func (in *Image) DeepCopyObject() runtime.Object          { return in.DeepCopy() }

func (in *VirtualMachineList) DeepCopyObject() runtime.Object {
	return &VirtualMachineList{copyList(in.List)}
}
func (in *DiskList) DeepCopyObject() runtime.Object { return &DiskList{copyList(in.List)} }
func (in *HostList) DeepCopyObject() runtime.Object { return &HostList{copyList(in.List)} }
func (in *DataStorageList) DeepCopyObject() runtime.Object {
	return &DataStorageList{copyList(in.List)}
}
func (in *ImageList) DeepCopyObject() runtime.Object { return &ImageList{copyList(in.List)} }
